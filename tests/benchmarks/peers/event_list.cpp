// The textbook event list in C++: arrivals and departures in a std::priority_queue, the line in a std::deque.
#include <cmath>
#include <cstdint>
#include <deque>
#include <queue>
#include <tuple>
#include <vector>

namespace {
struct Event {
    double time_s;
    int64_t number;
    bool is_arrival;
};
struct Later {  // departures before arrivals, then in order of arrival
    bool operator()(const Event& a, const Event& b) const {
        return std::tie(a.time_s, a.is_arrival, a.number) > std::tie(b.time_s, b.is_arrival, b.number);
    }
};
}  // namespace

extern "C" int64_t run_open(const double* arrival_s, const double* service_s, int64_t requests, int64_t workers,
                            int64_t cap, double* departure_s) {
    std::priority_queue<Event, std::vector<Event>, Later> events;
    std::deque<int64_t> line;
    int64_t busy = 0, shed = 0;
    if (requests > 0) events.push({arrival_s[0], 0, true});
    while (!events.empty()) {
        const Event event = events.top();
        events.pop();
        if (!event.is_arrival) {
            departure_s[event.number] = event.time_s;
            if (line.empty()) {
                --busy;
            } else {
                events.push({event.time_s + service_s[line.front()], line.front(), false});
                line.pop_front();
            }
            continue;
        }
        if (busy < workers) {
            ++busy;
            events.push({event.time_s + service_s[event.number], event.number, false});
        } else if (busy + static_cast<int64_t>(line.size()) < cap) {
            line.push_back(event.number);
        } else {
            departure_s[event.number] = std::nan("");
            ++shed;
        }
        const int64_t next = event.number + 1;
        if (next < requests) events.push({arrival_s[next], next, true});
    }
    return shed;
}
