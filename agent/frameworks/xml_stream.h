// Reads XML as it comes, cut anywhere: what a test framework writes of its results. Not a general parser: no DTDs, no
// CDATA, and text of any bytes, also such as XML forbids. Pure; one thread.

#ifndef DTEST_AGENT_FRAMEWORKS_XML_STREAM_H_
#define DTEST_AGENT_FRAMEWORKS_XML_STREAM_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

class XmlStream {
 public:
  using Attributes = std::vector<std::pair<std::string, std::string>>;

  // What is read; views are valid during the call.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnStart(absl::string_view name, const Attributes& attributes) = 0;
    virtual void OnText(absl::string_view text) = 0;  // maybe in several pieces
    virtual void OnEnd(absl::string_view name) = 0;
  };

  static constexpr size_t kLongestTag = 1 << 20;

  // Nothing more is read once something was wrong.
  void Feed(absl::string_view bytes, Handler* handler);

  const std::string& problem() const { return problem_; }  // empty: none so far
  bool begun() const { return any_; }
  bool complete() const { return any_ && open_.empty() && problem_.empty(); }

 private:
  enum class State { kText, kEntity, kTag };

  void FeedText(absl::string_view* bytes, Handler* handler);
  void FeedEntity(char c, Handler* handler);
  void FeedTag(char c, Handler* handler);
  void Tag(Handler* handler);
  bool TakeAttribute(absl::string_view* tag, Attributes* attributes);
  void Fail(absl::string_view what);

  State state_ = State::kText;
  std::string tag_;    // since '<', or an entity since '&'
  char quote_ = '\0';  // of the attribute's value that is open in tag_
  bool any_ = false;
  std::vector<std::string> open_;
  std::string problem_;
};

// The value of the attribute; empty if there is none.
absl::string_view XmlAttribute(const XmlStream::Attributes& attributes, absl::string_view name);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_XML_STREAM_H_
