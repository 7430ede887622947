"""What the flow of control can be, with branches that are taken and others that are not."""

import contextlib
import os

if os.environ.get("NEVER_SET"):
    LIMIT = 1
else:
    LIMIT = 2

TABLE = [
    number
    for number in range(10)
    if number % 2
]


def sign(number):
    if number < 0:
        return -1
    for part in range(number):
        if part > LIMIT:
            break
    else:
        number += 0
    return 1 if number else 0


def searched(items, wanted):
    while items:
        if (first := items.pop()) == wanted:
            break
        if first is None:
            continue
    else:
        return "nowhere"
    return "there"


def tried(action):
    try:
        found = action()
    except KeyError:
        return "key"
    except (ValueError, TypeError) as error:
        found = str(error)
    else:
        found += 1
    finally:
        LIST.append(action)
    return found


LIST = []


def left(number):
    for part in range(number):
        try:
            if part == 2:
                return part
        finally:
            LIST.clear()
    with contextlib.suppress(ZeroDivisionError), contextlib.ExitStack() as stack:
        stack.callback(LIST.clear)
        return 1 / number
    return None


def generated(numbers):
    for number in numbers:
        received = yield number
        if received:
            yield from (each for each in range(received))


async def awaited(numbers):
    async def answers():
        for number in numbers:
            yield number

    found = [number async for number in answers() if number > 1]
    async with Held():
        async for number in answers():
            if number == 3:
                break
    return found


class Held:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return False


def decorated(function):
    def wrapped(*arguments):
        return function(
            *arguments,
        )

    return wrapped


@decorated
@decorated
def by_class(kind):
    class Made:
        value = [kind for _ in range(2)]

        def method(self):
            return (lambda: self.value[0])()

        def never(self):
            return self.value[1]

    return Made().method()


def unreached(number):
    assert number, "none"
    if number and (
        number > 1
        or number > 2
    ):
        raise ValueError(
            number
        )
    if False:
        number = 3
    while True:
        number += 1
        if number > 3:
            return number
