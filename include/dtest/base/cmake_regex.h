// CMake's regular expressions, as CTest looks for them in what a test prints (PASS_REGULAR_EXPRESSION and the like).
// After kwsys' RegularExpression of CMake 3.25, whose language is smaller than POSIX':
//   ^ $        the beginning and the end of the whole text, not of its lines
//   .          any byte, also a line feed
//   [a-z] [^x] a byte of a set; a backslash is itself there, and so is ] or - in front; there are no [:classes:]
//   * + ?      of a byte, a set or a group; not of what may be empty, and not one behind another
//   ( ) |      groups and alternatives, also empty ones
//   \x         x itself, whatever it is
// All else is itself, { and } too.
//
// The text comes in pieces and is not kept: looking costs time in proportion to its length and to that of the
// expression, whatever both are. A compiled expression is immutable: any thread. A search is of one thread.

#ifndef DTEST_BASE_CMAKE_REGEX_H_
#define DTEST_BASE_CMAKE_REGEX_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dtest {

class CMakeRegex {
 public:
  // InvalidArgument: what is wrong with it, for a person, without the expression itself.
  static absl::StatusOr<CMakeRegex> Compile(absl::string_view expression);

  // Whether the expression is found anywhere in a text. The expression must outlive it.
  class Search {
   public:
    explicit Search(const CMakeRegex& regex);
    void Feed(absl::string_view bytes);
    // The text has ended. No Feed may follow.
    bool Found();

   private:
    using States = std::vector<uint32_t>;
    // Adds what can be reached from `state` without a byte.
    void Reach(uint32_t state, bool at_end, States* states);
    void Step(unsigned char byte);

    const CMakeRegex* regex_;
    States now_, next_, open_;
    std::vector<uint64_t> seen_;  // by state: the round in which it was reached last
    uint64_t round_ = 0;
    bool began_ = false;  // a byte was fed
    bool found_ = false;
  };

 private:
  friend class CMakeRegexParser;
  using Bytes = std::bitset<256>;
  enum class Kind : uint8_t { kBytes, kBegin, kEnd, kFork, kFound };
  struct State {
    Kind kind = Kind::kFound;
    uint32_t next = 0;   // of all but kFound
    uint32_t other = 0;  // of kFork: as well
    uint32_t bytes = 0;  // of kBytes: number of the set in `sets_`
  };

  std::vector<State> states_;  // the first one that is looked from is `start_`
  std::vector<Bytes> sets_;
  uint32_t start_ = 0;
};

}  // namespace dtest

#endif  // DTEST_BASE_CMAKE_REGEX_H_
