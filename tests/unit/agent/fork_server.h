// What a fork server in Python begins with that is of the same module as pytest's, in tests of who starts it.

#ifndef DTEST_TESTS_UNIT_AGENT_FORK_SERVER_H_
#define DTEST_TESTS_UNIT_AGENT_FORK_SERVER_H_

namespace dtest {

// argv[1] is the directory of the plugin. Defines `serve(control, origin)`, which returns in what is forked.
inline constexpr char kForkServerBegins[] = R"(
import os, sys
sys.path.insert(0, sys.argv[1])
from dtest_pytest import forking

class Config:
    class pluginmanager:
        @staticmethod
        def getplugin(name): return None
class Worker:
    def begin(self, config): pass

def serve(control, origin):
    return forking.serve(control, Config, Worker(), origin)
)";

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_AGENT_FORK_SERVER_H_
