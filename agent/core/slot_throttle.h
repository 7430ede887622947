// How many of its slots a host uses, where it may use fewer (--load auto): fewer where its processors or its memory
// have too much to do already, and no more than a fair share beside other runs of dtest. Pure; one thread.
//
// A look a second. Too many tasks that run or wait for a processor, smoothed over some looks, take a slot away; memory
// that tasks wait for takes a quarter of them. No more is taken until that has had its effect: until no more tests run
// than slots are open and, for memory, the kernel's average of ten seconds covers only the time since. A slot comes
// back with each look that finds processors idle, some looks after the last that was taken. At least one is always
// open.
//
// Another agent with tests is a rival, whichever run or user it is of. A fair share is the slots divided by the agents,
// or what the rivals leave: a rival with little to do does not hold back more than it uses.

#ifndef DTEST_AGENT_CORE_SLOT_THROTTLE_H_
#define DTEST_AGENT_CORE_SLOT_THROTTLE_H_

#include <cstdint>
#include <optional>
#include <string>

namespace dtest {

struct HostLoad {
  uint32_t processors = 1;             // of the machine, whatever part of them the agent may use
  uint32_t runnable = 0;               // tasks of the machine that run or wait for a processor
  std::optional<double> memory_stall;  // 0..1 of the last ten seconds: some task waited for memory; none: not known
  uint32_t rivals = 0;                 // other agents that run tests
  uint32_t rival_tests = 0;            // that these run
};

class SlotThrottle {
 public:
  explicit SlotThrottle(uint32_t slots) : slots_(slots), bearable_(slots), open_(slots) {}  // at least 1

  // How many slots are open from now on. `busy`: how many have a process.
  uint32_t Look(const HostLoad& load, uint32_t busy);
  uint32_t open() const { return open_; }
  // Why it is fewer than all, for people: "..., since <why>".
  const std::string& why() const { return why_; }

 private:
  const uint32_t slots_;
  uint32_t bearable_;  // by load
  uint32_t open_;
  uint32_t patience_ = 0;      // looks until slots may come back
  uint32_t after_memory_ = 0;  // looks until memory may take more of them
  std::optional<double> runnable_;
  std::string why_;
};

}  // namespace dtest

#endif  // DTEST_AGENT_CORE_SLOT_THROTTLE_H_
