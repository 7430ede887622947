"""What is expected of the cases of tests/fixtures/: one table that all reports are checked against."""

MIXED = {
    "Passing.One": "passed",
    "Passing.Two": "passed",
    "Passing.Property": "passed",
    "Failing.Assertion": "failed",
    "Failing.Exception": "failed",
    "Failing.AfterFailures": "passed",
    "Crashing.Before": "passed",
    "Crashing.Segfault": "crashed",
    "Crashing.Abort": "crashed",
    "Crashing.ExitZero": "crashed",
    "Crashing.ExitThree": "crashed",
    "Crashing.After": "passed",
    "Skipping.WithReason": "skipped",
    "Skipping.DISABLED_Never": "skipped",
}
HANG = {"Hanging.Before": "passed", "Hanging.Forever": "timed out", "Hanging.After": "passed"}
OUTPUT = {
    "Output.Huge": "failed",
    "Output.NotUtf8": "failed",
    "Output.ControlCharacters": "failed",
    "Output.NoNewlineAtTheEnd": "failed",
    "Output.LooksLikeGoogleTest": "passed",
}
TYPED = {
    "Typed/0.DefaultConstructs": "passed",
    "Typed/1.DefaultConstructs": "passed",
    "Typed/2.DefaultConstructs": "passed",
    "Texts/Text.IsShort/0": "passed",
    "Texts/Text.IsShort/1": "passed",
    "Texts/Text.IsShort/2": "failed",
    "Texts/Text.IsShort/3": "failed",
    "Texts/Text.IsShort/4": "failed",
    "Numbers/Named.IsSmall/Number1": "passed",
    "Numbers/Named.IsSmall/Number2": "passed",
}
LIBRARY = {"Library.Linked": "passed", "Library.Plugin": "passed"}
SETUP = {"BadSetup.First": "crashed", "BadSetup.Second": "crashed", "GoodSetup.Passes": "passed"}

MANY = 3000
SLOW = 60

# How JUnit writes each outcome.
JUNIT = {"passed": "passed", "failed": "failure", "crashed": "error", "timed out": "error", "infra error": "error",
         "skipped": "skipped", "not run": "skipped"}
