// Files of units that are in place when a test says so. Records what it was asked. One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_UNIT_FILES_H_
#define DTEST_TESTS_FAKES_FAKE_UNIT_FILES_H_

#include <string>
#include <utility>
#include <vector>

#include "agent/fetch/unit_files.h"

namespace dtest {

class FakeUnitFiles final : public UnitFiles {
 public:
  // Asked for, and not answered by the test.
  std::vector<const UnitSpec*> wanted;
  std::vector<FilesAnswer> delivered;
  std::string peer_address;  // that MeetPeers was told

  void MeetPeers(const CurveKeyPair&, const std::string& address) override { peer_address = address; }
  void Prepare(const RunSettings&, const UnitSpec* spec) override { wanted.push_back(spec); }
  void Deliver(FilesAnswer answer) override { delivered.push_back(std::move(answer)); }
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_UNIT_FILES_H_
