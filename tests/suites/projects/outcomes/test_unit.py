import unittest
import warnings

READY = []


def setUpModule():
    READY.append("module")


class Outcomes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ready = [*READY, "class"]

    def setUp(self):
        self.left = []

    def test_set_up(self):
        self.assertEqual(self.ready, ["module", "class"])

    def test_fails(self):
        print("said by a unittest")
        self.assertEqual([1, 2], [1, 3], "no")

    def test_error(self):
        raise KeyError("none")

    @unittest.skip("no wings")
    def test_skipped(self):
        raise AssertionError

    def test_skips_itself(self):
        self.skipTest("no legs")

    @unittest.expectedFailure
    def test_expected(self):
        self.fail()

    @unittest.expectedFailure
    def test_unexpected(self):
        pass

    def test_parts(self):
        for part in range(3):
            with self.subTest("of three", part=part):
                self.assertNotEqual(part, 1)

    def test_parts_that_pass(self):
        for part in range(3):
            with self.subTest(part=part):
                self.assertLess(part, 3)

    def test_parts_that_skip(self):
        for part in range(3):
            with self.subTest(part=part):
                if part == 1:
                    self.skipTest("no first")

    def test_clean_up(self):
        self.addCleanup(self.fail, "in a clean-up")

    def test_warns(self):
        with self.assertWarns(UserWarning):
            warnings.warn("as asserted")


class BreaksSetUp(unittest.TestCase):
    def setUp(self):
        raise RuntimeError("no water")

    def test_a(self):
        pass


class BreaksTearDown(unittest.TestCase):
    def tearDown(self):
        raise RuntimeError("left the tap open")

    def test_a(self):
        pass

    def test_b(self):
        self.fail("before it")


class BreaksClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise RuntimeError("no class")

    def test_a(self):
        pass


class SkipsClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise unittest.SkipTest("no class today")

    def test_a(self):
        pass


@unittest.skip("none of it")
class Skipped(unittest.TestCase):
    def test_a(self):
        pass


class InALoop(unittest.IsolatedAsyncioTestCase):
    async def test_awaits(self):
        pass

    async def test_fails(self):
        self.fail("in a loop")
