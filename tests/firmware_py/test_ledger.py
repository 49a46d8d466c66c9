"""The account adds up, at 16 kHz and at a microphone's own rate."""

from firmware_py.ledger import DRIVER, MICROPHONE, RING, DeviceAccount, Ledger


def test_an_account_adds_up():
    ledger = Ledger(heard=9_000, tail=1_000)
    assert ledger.add_lost({RING: 5, MICROPHONE: 7}) == 12 and ledger.add_lost({RING: 1}) == 1
    assert ledger.to_json() == {
        "in": 9_013, "processed": 8_000, "lost": {RING: 6, DRIVER: 0, MICROPHONE: 7}, "tail": 1_000,
    }  # fmt: skip


def test_what_was_dozed_and_each_rate_of_the_device_are_told_where_they_are():
    ledger = Ledger(
        heard=8_000, devices=[DeviceAccount(48_000, 24_000, {DRIVER: 3}, 47_999.996)], dozed=4_000
    )
    told = ledger.to_json()
    assert told["dozed"] == 4_000
    assert told["devices"] == [
        {"rate": 48_000, "in": 24_003, "read": 24_000, "lost": {DRIVER: 3}, "measured_rate": 48_000.0}
    ]
