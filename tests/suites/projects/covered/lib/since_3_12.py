class Box[T]:
    def __init__(self, value: T):
        self.value = value

    def get[D](self, default: D) -> T | D:
        return self.value if self.value is not None else default


type Boxes = list[Box[int]]


def grouped(action):
    try:
        action()
    except* ValueError as group:
        return len(group.exceptions)
    except* TypeError:
        return "type"
    return f"{'none' if action else "nothing"}"
