"""What the name of a file in a Maildir says: ``TIME.UNIQUE.HOST,S=<octets>,W=<octets with CRLF>:2,<flags>``.
Letters with UTF-8 in the header have ``,U=<octets>`` as well, :func:`.raw_names.surrogate_size`.

Only the flags change in the life of a letter, so what is before the colon (the *base*) is its identity. Names are
foreign: nothing here fails on an odd one. This is for few of them, as text; :mod:`.raw_names` is the same for many.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence

from mailstack.maildir import raw_names

_TIME = re.compile(r"[0-9]+(?=\.)")
_KEPT_ID_ESCAPES = "%.,:/"  # what a unique-id may have, and the unique part of a file name may not


def base(file_name: str) -> str:
    """The name without its flags."""
    return file_name.partition(":")[0]


def wire_size(base: str) -> int | None:
    """Octets with CRLF line ends, where the name has them."""
    return raw_names.wire_size(os.fsencode(base))


def letter_id(base: str) -> str | None:
    """The queue id of a letter that this server has delivered."""
    return raw_names.letter_id(os.fsencode(base))


def keeping(uid: str, time: int, host: str) -> str:
    """The stem of a file whose letter shall keep a unique-id that it had elsewhere: ``TIME.U<unique-id>.HOST``.

    The name alone says it, so it stays wherever the file goes. A file name has at most 255 octets: a unique-id of 70
    characters takes up to 210.
    """
    escaped = "".join(f"%{ord(char):02X}" if char in _KEPT_ID_ESCAPES else char for char in uid)
    return f"{time}.U{escaped}.{host}"


def age(base: str) -> tuple[int, str]:
    """Sorts the oldest first; names without a time go before all others."""
    found = _TIME.match(base)
    return (int(found[0]) if found else 0, base)


def unique_ids(bases: Sequence[str]) -> list[str]:
    """Those of all letters of one mailbox, in their order."""
    raw = [os.fsencode(base) for base in bases]
    uids = [raw_names.unique_id(raw_names.stem(base)) for base in raw]
    shared = Counter(uids)
    final = [raw_names.shared_id(base) if shared[uid] > 1 else uid for uid, base in zip(uids, raw, strict=True)]
    return [uid.decode("ascii") for uid in final]
