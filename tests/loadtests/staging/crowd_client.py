"""Many raw connections at once, as a process of its own: ``python crowd_client.py PORT COUNT REFUSED HANG_UP``.

Opens COUNT connections, then sends one request on each, with its number as X-Request-Id. When REFUSED
answers are there, hangs up HANG_UP of those that still wait, then waits for the rest. Prints JSON: `answers`
(number, status, whether Retry-After came, monotonic time), `hung_up` (numbers), `last_sent_s`, `last_hung_up_s`.
"""

import asyncio
import json
import sys
import time

from loadtests.foundation.limits import raise_file_limit

OPENING_AT_ONCE = 200
PATIENCE_S = 60.0


class Visitor(asyncio.Protocol):
    def __init__(self, number, crowd):
        self.number, self.crowd, self.received = number, crowd, b""

    def connection_made(self, transport):
        self.transport = transport

    def ask(self):
        head = f"GET /api/echo HTTP/1.1\r\nHost: x\r\nX-Request-Id: c{self.number}\r\n\r\n"
        self.transport.write(head.encode())

    def data_received(self, data):
        is_first = not self.received
        self.received += data
        if is_first:
            status = int(data.split(b" ", 2)[1])
            self.crowd.answered(self.number, status, b"retry-after: 1\r\n" in data.lower())

    def connection_lost(self, _error):
        if not self.received and self.number not in self.crowd.hung_up:
            self.crowd.answered(self.number, 0, False)


class Crowd:
    def __init__(self, count, refused):
        self.count, self.refused = count, refused
        self.answers, self.hung_up = [], []
        self.all_refused, self.all_done = asyncio.Event(), asyncio.Event()

    def answered(self, number, status, retry_after):
        self.answers.append((number, status, retry_after, time.monotonic()))
        self.look()

    def look(self):
        if len(self.answers) >= self.refused:
            self.all_refused.set()
        if len(self.answers) + len(self.hung_up) >= self.count:
            self.all_done.set()


async def main(port, count, refused, hang_up):
    crowd, loop, door = Crowd(count, refused), asyncio.get_running_loop(), asyncio.Semaphore(OPENING_AT_ONCE)

    async def enter(number):
        async with door:
            _, visitor = await loop.create_connection(lambda: Visitor(number, crowd), "127.0.0.1", port)
        return visitor

    visitors = await asyncio.gather(*map(enter, range(count)))
    for visitor in visitors:
        visitor.ask()
    sent = time.monotonic()
    await asyncio.wait_for(crowd.all_refused.wait(), PATIENCE_S)
    known = {answer[0] for answer in crowd.answers}
    waiting = [visitor for visitor in visitors if visitor.number not in known]
    leaving = waiting[:: max(len(waiting) // hang_up, 1)][:hang_up] if hang_up else []
    crowd.hung_up += [visitor.number for visitor in leaving]
    for visitor in leaving:
        visitor.transport.abort()
    left = time.monotonic()
    crowd.look()
    await asyncio.wait_for(crowd.all_done.wait(), PATIENCE_S)
    for visitor in visitors:
        visitor.transport.abort()
    seen = {"answers": crowd.answers, "hung_up": crowd.hung_up, "last_sent_s": sent, "last_hung_up_s": left}
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    raise_file_limit()
    asyncio.run(main(*map(int, sys.argv[1:])))
