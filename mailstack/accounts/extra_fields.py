"""The extra fields of a passwd-file, ``uid:gid:gecos:home:shell:name=value name=value``, behind the password.

Most of them are somebody else's, and kept as they are.
"""

from __future__ import annotations

_BEFORE = 5  # colons between the password and the extra fields


def value(further: str, name: str) -> str | None:
    """The first one of this name; "" without a value; None: there is none. ``further`` is all behind the password."""
    for field in further.split(":", _BEFORE)[_BEFORE:]:
        for each in field.split():
            known, _, written = each.partition("=")
            if known == name:
                return written
    return None


def replaced(further: str, name: str, value: str) -> str:
    """With this value alone ("": without the field); everything else stays as it is."""
    fields = further.split(":", _BEFORE)
    others = "".join(fields[_BEFORE:]).split(" ")
    extra = " ".join(each for each in others if each.partition("=")[0] != name)
    if value:
        extra = f"{extra} {name}={value}" if extra else f"{name}={value}"
        fields += [""] * (_BEFORE - len(fields))
    return ":".join([*fields[:_BEFORE], extra]) if len(fields) > _BEFORE or value else further
