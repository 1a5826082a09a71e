"""The clock of a training: one series, however many processes took part in it."""

import time

from gen.clock import Clock, seconds_at


def test_time_goes_on_from_what_an_earlier_process_had_spent() -> None:
    first = Clock()
    deadline = time.monotonic() + 0.05
    while time.monotonic() < deadline:
        pass
    first.read(10)
    (reading,) = first.readings
    assert reading.seconds >= 0.05
    assert reading.processor_seconds > 0
    assert reading.memory_bytes > 2**20

    # As a checkpoint's JSON brings it back, some seconds after the last reading.
    second = Clock([list(reading)], reading.seconds + 100)
    second.read(20)
    assert second.readings[0] == reading
    assert second.readings[1].seconds >= reading.seconds + 100
    assert second.readings[1].processor_seconds >= reading.processor_seconds
    second.forget_after(10)
    assert [each.images for each in second.readings] == [10]


def test_between_two_readings_images_come_evenly() -> None:
    made = {"clock": [[10, 4.0, 0, 0, 0], [30, 5.0, 0, 0, 0]]}
    assert seconds_at(made, [0, 5, 10, 20, 30]) == [0.0, 2.0, 4.0, 4.5, 5.0]
