"""What the checks need to know of this API."""

import itertools

import schemathesis
from schemathesis import GenerationMode

_keys = itertools.count()


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Makes good keys unique: one that is used again gets the first try's answer, whatever is asked then."""
    if case.meta is not None and _tries_headers(case.meta):
        return
    for name in list(case.headers or {}):
        value = case.headers[name]
        if name.lower() == "idempotency-key" and isinstance(value, str) and 1 <= len(value) <= 64:
            if all(" " <= letter <= "~" for letter in value):
                case.headers[name] = f"key-{next(_keys)}"


def _tries_headers(meta):
    """Whether the case is about a bad or missing header: a change of its headers would make it another one."""
    location = getattr(meta.phase.data, "parameter_location", None)
    return meta.generation.mode is GenerationMode.NEGATIVE and location is not None and location.value == "header"


@schemathesis.check
def shape_acceptance(ctx, response, case):
    """A request of the documented shape is not refused for its shape, neither as unreadable nor for one of its fields."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if response.status_code in (400, 415):
        raise AssertionError(f"a documented request can't be read: {response.text}")
    if response.status_code == 422 and _blames_a_field(response.json()):
        raise AssertionError(f"a documented request is refused for its shape: {response.text}")


def _blames_a_field(body):
    """Faults of a shape name the field first; those of a rule don't."""
    detail = body.get("detail") if isinstance(body, dict) else None
    return isinstance(detail, str) and detail.startswith("`")
