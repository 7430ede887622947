def matched(value):
    match value:
        case []:
            return "empty"
        case [first, *_] if first:
            return first
        case {"key": found}:
            return found
        case int() | float():
            return "number"
        case _:
            return None
