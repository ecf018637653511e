import asyncio

import pytest

from loadtests.staging.fifo_pool import FifoPool, PoolFullError


def run(story):
    return asyncio.run(asyncio.wait_for(story(), 5))


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_slots_are_granted_in_the_order_of_asking():
    async def story():
        pool, order = FifoPool(1), []

        async def customer(number):
            await pool.acquire()
            order.append(number)
            await asyncio.sleep(0)
            pool.release()

        await asyncio.gather(*(customer(number) for number in range(20)))
        return order, pool.in_use, pool.waiting

    assert run(story) == (list(range(20)), 0, 0)


def test_a_newcomer_cannot_overtake_one_who_was_just_granted_a_slot():
    async def story():
        pool = FifoPool(1, max_waiting=0)
        await pool.acquire()
        pool.max_waiting = 1
        waiter = asyncio.create_task(pool.acquire())
        await settle()
        pool.release()
        pool.max_waiting = 0
        with pytest.raises(PoolFullError):
            await pool.acquire()
        await waiter
        return pool.in_use

    assert run(story) == 1


def test_a_full_queue_refuses_at_once():
    async def story():
        pool = FifoPool(2, max_waiting=3)
        holders = [asyncio.create_task(pool.acquire()) for _ in range(5)]
        await settle()
        with pytest.raises(PoolFullError):
            await pool.acquire()
        counts = (pool.in_use, pool.waiting)
        for _ in range(5):
            pool.release()
        await asyncio.gather(*holders)
        return counts, pool.in_use

    assert run(story) == ((2, 3), 0)


def test_a_wait_that_takes_too_long_leaves_the_queue():
    async def story():
        pool = FifoPool(1)
        await pool.acquire()
        with pytest.raises(TimeoutError):
            await pool.acquire(timeout_s=0.01)
        left = pool.waiting
        pool.release()
        await pool.acquire(timeout_s=0.01)
        return left, pool.in_use

    assert run(story) == (0, 1)


def test_a_cancelled_waiter_leaves_the_queue():
    async def story():
        pool = FifoPool(1)
        await pool.acquire()
        first, second = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
        await settle()
        first.cancel()
        await settle()
        waiting = pool.waiting
        pool.release()
        await second
        return waiting, pool.in_use

    assert run(story) == (1, 1)


def test_a_waiter_cancelled_just_after_its_grant_passes_the_slot_on():
    async def story():
        pool = FifoPool(1)
        await pool.acquire()
        first, second = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
        await settle()
        pool.release()
        first.cancel()
        await second
        pool.release()
        return first.cancelled(), pool.in_use, pool.waiting

    assert run(story) == (True, 0, 0)


def test_a_pool_without_limit_never_waits():
    async def story():
        pool = FifoPool(None)
        for _ in range(1000):
            await pool.acquire()
        return pool.in_use

    assert run(story) == 1000
