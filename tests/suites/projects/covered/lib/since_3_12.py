class Box[T]:
    def __init__(self, value: T):
        self.value = value

    def get[D](self, default: D) -> T | D:
        return self.value if self.value is not None else default


type Boxes = list[Box[int]]


def grouped(action):
    found = 0
    try:
        action()
    except* ValueError as group:
        found = len(group.exceptions)
    except* TypeError:
        found = -1
    return f"{found if action else "nothing"}"
