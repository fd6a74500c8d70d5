from __future__ import annotations

from random import Random

import pytest

from mailstack.model.ids import Ids, came

NOW = 1_795_694_400.125


@pytest.mark.parametrize("moment", [NOW, NOW - 86400 * 365, NOW + 3600, 1.5])
def test_an_id_tells_when_it_was_made(moment: float) -> None:
    """As seen from a time that is less than 17 years away."""
    id = Ids(lambda: moment, Random(1).getrandbits)()
    assert came(id, moment) == pytest.approx(moment, abs=1e-5)
    assert came(id, moment + 86400 * 365 * 15) == pytest.approx(moment, abs=1e-5)


@pytest.mark.parametrize("text", ["", "alice", "K0YEACMR8AN", "K0YEACMR8ANU", "k0yeacmr8an7", "K0YEACMR8AN77"])
def test_no_id(text: str) -> None:
    assert came(text, NOW) is None
