// Which hosts an event of this turn concerns, and which wanted more work than there was. Only these are looked at, so a
// result costs the same however many hosts there are. Flags in the hosts' records keep each host in a list once. One
// thread.

#ifndef DTEST_COORDINATOR_SCHEDULE_ATTENTION_H_
#define DTEST_COORDINATOR_SCHEDULE_ATTENTION_H_

#include <vector>

#include "coordinator/schedule/host_table.h"
#include "coordinator/schedule/ids.h"

namespace dtest::schedule {

class Attention {
 public:
  explicit Attention(HostTable* hosts) : hosts_(*hosts) {}

  // An event of this turn concerns the host: it may want more now.
  void Touch(HostId h) {
    if (hosts_[h].touched) return;
    hosts_[h].touched = true;
    touched_.push_back(h);
  }
  void TouchHungry() {
    for (HostId h : hungry_) Touch(h);
  }
  // It wanted more and got nothing.
  void MarkHungry(HostId h) {
    if (hosts_[h].hungry) return;
    hosts_[h].hungry = true;
    hungry_.push_back(h);
  }
  // There is new work, which hosts that are not touched could take, too.
  void WorkCameUp() { work_came_up_ = true; }
  // The new work of this turn is offered to that host first.
  void ServeFirst(HostId h) { first_ = h; }

  const std::vector<HostId>& touched() const { return touched_; }
  const std::vector<HostId>& hungry() const { return hungry_; }
  bool any_hungry() const { return !hungry_.empty(); }
  bool work_came_up() const { return work_came_up_; }
  HostId first() const { return first_; }  // kNoHost: nobody

  // Touched or hungry; nobody is hungry then.
  std::vector<HostId> TakeEveryone() {
    std::vector<HostId> everyone = touched_;
    for (HostId h : hungry_) {
      if (!hosts_[h].touched) everyone.push_back(h);
      hosts_[h].hungry = false;
    }
    hungry_.clear();
    return everyone;
  }
  void EndTurn() {
    for (HostId h : touched_) hosts_[h].touched = false;
    touched_.clear();
    first_ = kNoHost;
    work_came_up_ = false;
  }

 private:
  HostTable& hosts_;
  std::vector<HostId> touched_, hungry_;
  HostId first_ = kNoHost;
  bool work_came_up_ = false;
};

}  // namespace dtest::schedule

#endif  // DTEST_COORDINATOR_SCHEDULE_ATTENTION_H_
