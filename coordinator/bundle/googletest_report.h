// Whether the XML report of a GoogleTest could say more than what the program prints as it goes.
//
// Writing the report costs a process more than running trivial cases does (19 us a case against 9, with GoogleTest
// 1.12), so it is asked for only where it may be needed: for properties (testing::Test::RecordProperty), and where a
// program puts its own listener in the place of the printer (testing::UnitTest::listeners). Both are functions of
// GoogleTest, which is most often linked into the program as a whole; if no other code refers to them, nothing calls
// them. Only the code tells: a linked program has neither relocations nor dynamic symbols for calls inside of it.
//
// Free function, no state, any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_GOOGLETEST_REPORT_H_
#define DTEST_COORDINATOR_BUNDLE_GOOGLETEST_REPORT_H_

#include <string>

namespace dtest {

// True if it is certain that no code in the program refers to those functions: it is an x86-64 ELF program with a
// symbol table in which they stand, no dynamic symbol offers them to libraries, and outside of GoogleTest itself
// neither a call, jump or lea, nor (in a program with fixed addresses) any other 32-bit word of code, nor a word of
// data, nor a relocation leads to one. Bytes that look like that by chance count. False for everything else, damaged
// files included. Reads symbols, code and data, without debug information: about 1 ms a megabyte.
bool GoogleTestPrintsAll(const std::string& path);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_GOOGLETEST_REPORT_H_
