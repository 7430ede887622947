import os


def never():
    if os:
        print(os)
