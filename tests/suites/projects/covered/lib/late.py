def answer(what):
    if what == "x":
        return 42
    return 43


def once():
    return "made"


def in_a_thread(found):
    for number in range(3):
        if number == 2:
            found.append(number)
