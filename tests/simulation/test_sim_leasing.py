"""What reservations cost the work around them: less where it can be suspended."""

from itertools import pairwise

import msgspec

from protocol.sim.experiments.leasing import Leasing, lease
from protocol.sim.experiments.workload import Mix, bookings, jobs

MIX = Mix(
    places=2,
    hours=1.25,
    load=0.45,
    job_s=600.0,
    job_sigma=0.6,
    job_most_s=1500.0,
    reserved=0.3,
    lasts_s=1350.0,
)


def test_the_trace_asks_for_what_it_says_and_the_jobs_are_the_same_for_all() -> None:
    mix = Mix(reserved=0.3)
    all_s = mix.places * mix.hours * 3600.0
    asked_s = sum(job.places * job.work_s for job in jobs(mix))
    assert mix.load * all_s <= asked_s < 1.1 * mix.load * all_s
    assert jobs(mix) == jobs(Mix())
    assert jobs(mix) != jobs(Mix(seed=2))
    booked = bookings(mix)
    assert abs(sum(b.places * b.lasts_s for b in booked) - mix.reserved * all_s) < 0.001 * all_s
    assert all(a.start_s + a.lasts_s < b.start_s for a, b in pairwise(booked))


def test_suspension_makes_reservations_cheaper_and_every_job_does_all_its_work() -> None:
    plain = lease(Leasing(msgspec.structs.replace(MIX, reserved=0.0), hosts=2))
    stops = lease(Leasing(MIX, hosts=2))
    keeps = lease(Leasing(MIX, hosts=2, suspends=False))
    assert stops.jobs == stops.done == keeps.done == plain.done > 3
    assert plain.suspensions == keeps.suspensions == 0 < stops.suspensions
    assert plain.all_done_s < stops.all_done_s < keeps.all_done_s
    for found in (stops, keeps):
        assert found.kept == found.bookings == len(bookings(MIX)) > 0
        assert found.late_s < 5.0, "reservations begin in time"
