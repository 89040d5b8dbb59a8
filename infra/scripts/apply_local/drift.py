"""What the second plan would change, beside what infra/emulator_drift.json says the emulator can't keep.

Both ways: a difference that is not listed is a defect of the module, or news of the emulator; one that is listed and does
not appear is out of date.
"""

import json
import pathlib

LIST = pathlib.Path(__file__).parents[2] / "emulator_drift.json"


def known(environment, text=None):
    """What is listed for an environment: reasons by resource and attribute.

    >>> everywhere = {"reason": "r", "resources": ["a.b"], "attributes": ["x"]}
    >>> in_prod = {"reason": "s", "resources": ["a.c"], "attributes": ["y"], "environments": ["prod"]}
    >>> listed = json.dumps([everywhere, in_prod])
    >>> known("dev", listed), known("prod", listed)
    ({('a.b', 'x'): 'r'}, {('a.b', 'x'): 'r', ('a.c', 'y'): 's'})
    """
    listed = {}
    for entry in json.loads(LIST.read_text() if text is None else text):
        if environment in entry.get("environments", [environment]):
            listed |= {(resource, attribute): entry["reason"] for resource in entry["resources"] for attribute in entry["attributes"]}
    return listed


def found(plan):
    """What a plan, as `terraform show -json` writes it, would do: its action by resource and attribute.

    Whatever is no change in place has the action's name instead of an attribute's. Data that is read during the apply is
    no change.

    >>> change = {"actions": ["update"], "before": {"x": 1, "y": 2}, "after": {"x": 1}, "after_unknown": {"y": [{"z": True}]}}
    >>> made = {"actions": ["delete", "create"], "before": {}, "after": {}, "after_unknown": {}}
    >>> plan = {"resource_changes": [{"address": "module.platform.a.b", "change": change}, {"address": "a.c", "change": made}]}
    >>> sorted(found(plan))
    [('a.b', 'y'), ('a.c', 'delete, create')]
    >>> found({"resource_changes": [{"address": "a.b", "change": {**change, "actions": ["read"]}}]})
    {}
    """
    differences = {}
    for resource in plan.get("resource_changes", []):
        address, change = resource["address"].removeprefix("module.platform."), resource["change"]
        if change["actions"] in (["no-op"], ["read"]):
            continue
        if change["actions"] != ["update"]:
            differences[address, ", ".join(change["actions"])] = "the whole resource"
            continue
        before, after, unknown = change["before"] or {}, change["after"] or {}, change["after_unknown"] or {}
        for attribute in sorted(before.keys() | after.keys() | unknown.keys()):
            if has_true(unknown.get(attribute)):
                differences[address, attribute] = f"{short(before.get(attribute))} → unknown"
            elif before.get(attribute) != after.get(attribute):
                differences[address, attribute] = f"{short(before.get(attribute))} → {short(after.get(attribute))}"
    return differences


def complaints(environment, plan):
    """Sentences about what differs from the list; none if it is as listed."""
    listed, differences = known(environment), found(plan)
    lines = [
        f"{address}: {attribute} ({differences[address, attribute]}) is not in {LIST.name}"
        for address, attribute in sorted(differences.keys() - listed.keys())
    ]
    lines += [
        f"{address}: {attribute} is in {LIST.name} for {environment} and does not appear any more: take it out"
        for address, attribute in sorted(listed.keys() - differences.keys())
    ]
    return lines


def has_true(unknown):
    """Whether anything within is unknown."""
    if isinstance(unknown, dict):
        return any(has_true(value) for value in unknown.values())
    if isinstance(unknown, list):
        return any(has_true(value) for value in unknown)
    return bool(unknown)


def short(value):
    """A value as one looks at it."""
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:97] + "…"
