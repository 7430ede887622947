#include "dtest/base/cmake_regex.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"

namespace dtest {

// Builds the states of an expression from its end to its beginning: each part is told what follows it.
class CMakeRegexParser {
 public:
  explicit CMakeRegexParser(absl::string_view text) : text_(text) {}

  absl::StatusOr<CMakeRegex> Parse() {
    std::unique_ptr<Node> all = Alternatives(0);
    if (fault_.ok() && at_ < text_.size()) Fail("a ) without its (");
    if (!fault_.ok()) return fault_;
    const uint32_t found = Add({.kind = CMakeRegex::Kind::kFound});
    regex_.start_ = Build(*all, found);
    return std::move(regex_);
  }

 private:
  // Of the syntax tree.
  struct Node {
    enum class Kind : uint8_t { kBytes, kBegin, kEnd, kSequence, kAlternatives, kRepeat };
    Kind kind = Kind::kSequence;
    CMakeRegex::Bytes bytes;                   // of kBytes
    std::vector<std::unique_ptr<Node>> parts;  // of kSequence, kAlternatives, and the one of kRepeat
    char how_often = '*';                      // of kRepeat: * + ?
    bool has_width = false;                    // it never matches the empty text
  };
  using NodePtr = std::unique_ptr<Node>;
  static constexpr int kDeepest = 200;  // groups in groups

  void Fail(absl::string_view what) {
    if (fault_.ok()) fault_ = absl::InvalidArgumentError(what);
  }
  bool More() const { return fault_.ok() && at_ < text_.size(); }
  char Next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  static bool IsRepeat(char c) { return c == '*' || c == '+' || c == '?'; }

  static NodePtr OfBytes(const CMakeRegex::Bytes& bytes) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::kBytes;
    node->bytes = bytes;
    node->has_width = true;
    return node;
  }
  static NodePtr OfByte(char c) {
    CMakeRegex::Bytes bytes;
    bytes.set(static_cast<unsigned char>(c));
    return OfBytes(bytes);
  }
  static NodePtr Place(Node::Kind kind) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    return node;
  }

  NodePtr Alternatives(int depth) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::kAlternatives;
    node->has_width = true;
    if (depth > kDeepest) Fail("groups in groups in groups: too many");
    while (true) {
      node->parts.push_back(Sequence(depth));
      node->has_width &= node->parts.back()->has_width;
      if (!More() || Next() != '|') return node;
      ++at_;
    }
  }

  NodePtr Sequence(int depth) {
    auto node = std::make_unique<Node>();
    while (More() && Next() != '|' && Next() != ')') {
      node->parts.push_back(Piece(depth));
      node->has_width |= node->parts.back()->has_width;
    }
    return node;
  }

  NodePtr Piece(int depth) {
    NodePtr atom = Atom(depth);
    if (!More() || !IsRepeat(Next())) return atom;
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::kRepeat;
    node->how_often = text_[at_++];
    if (!atom->has_width && node->how_often != '?') Fail("a * or + of what may be empty");
    if (IsRepeat(Next())) Fail("one of * + ? behind another");
    node->has_width = node->how_often == '+';
    node->parts.push_back(std::move(atom));
    return node;
  }

  NodePtr Atom(int depth) {
    const char c = text_[at_++];
    switch (c) {
      case '^':
        return Place(Node::Kind::kBegin);
      case '$':
        return Place(Node::Kind::kEnd);
      case '.':
        return OfBytes(~CMakeRegex::Bytes());
      case '[':
        return Set();
      case '(': {
        NodePtr group = Alternatives(depth + 1);
        if (Next() != ')') Fail("a ( without its )");
        ++at_;
        return group;
      }
      case '*':
      case '+':
      case '?':
        Fail("nothing stands before a * + or ?");
        return OfByte(c);
      case '\\':
        if (at_ == text_.size()) {
          Fail("a backslash at the end");
          return OfByte(c);
        }
        return OfByte(text_[at_++]);
      default:
        return OfByte(c);
    }
  }

  NodePtr Set() {
    CMakeRegex::Bytes bytes;
    const auto add = [&](char c) { bytes.set(static_cast<unsigned char>(c)); };
    const bool all_but = Next() == '^';
    if (all_but) ++at_;
    if (Next() == ']' || Next() == '-') add(text_[at_++]);
    while (at_ < text_.size() && Next() != ']') {
      const char c = text_[at_++];
      if (c != '-' || at_ == text_.size() || Next() == ']') {
        add(c);
        continue;
      }
      const auto first = static_cast<unsigned char>(text_[at_ - 2]), last = static_cast<unsigned char>(text_[at_++]);
      if (first > last) Fail("a range in [ ] that ends before it begins");
      for (unsigned byte = first; byte <= last; ++byte) bytes.set(byte);
    }
    if (at_ == text_.size()) {
      Fail("a [ without its ]");
    } else {
      ++at_;
    }
    return OfBytes(all_but ? ~bytes : bytes);
  }

  uint32_t Add(CMakeRegex::State state) {
    regex_.states_.push_back(state);
    return static_cast<uint32_t>(regex_.states_.size() - 1);
  }

  // The state from which `node` is matched, and then what `follows`.
  uint32_t Build(const Node& node, uint32_t follows) {
    switch (node.kind) {
      case Node::Kind::kBytes:
        regex_.sets_.push_back(node.bytes);
        return Add({.kind = CMakeRegex::Kind::kBytes,
                    .next = follows,
                    .bytes = static_cast<uint32_t>(regex_.sets_.size() - 1)});
      case Node::Kind::kBegin:
        return Add({.kind = CMakeRegex::Kind::kBegin, .next = follows});
      case Node::Kind::kEnd:
        return Add({.kind = CMakeRegex::Kind::kEnd, .next = follows});
      case Node::Kind::kSequence:
        for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part) follows = Build(**part, follows);
        return follows;
      case Node::Kind::kAlternatives: {
        uint32_t begin = Build(*node.parts.back(), follows);
        for (auto part = node.parts.rbegin() + 1; part != node.parts.rend(); ++part) {
          const uint32_t one = Build(**part, follows);
          begin = Add({.kind = CMakeRegex::Kind::kFork, .next = one, .other = begin});
        }
        return begin;
      }
      case Node::Kind::kRepeat: {
        const uint32_t fork = Add({.kind = CMakeRegex::Kind::kFork, .next = follows, .other = follows});
        const uint32_t begin = Build(*node.parts.front(), node.how_often == '?' ? follows : fork);
        regex_.states_[fork].next = begin;
        return node.how_often == '+' ? begin : fork;
      }
    }
    return follows;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  absl::Status fault_;
  CMakeRegex regex_;
};

absl::StatusOr<CMakeRegex> CMakeRegex::Compile(absl::string_view expression) {
  return CMakeRegexParser(expression).Parse();
}

CMakeRegex::Search::Search(const CMakeRegex& regex) : regex_(&regex), seen_(regex.states_.size()) {
  ++round_;
  Reach(regex.start_, /*at_end=*/false, &now_);
}

void CMakeRegex::Search::Reach(uint32_t state, bool at_end, States* states) {
  open_.push_back(state);
  while (!open_.empty()) {
    const uint32_t one = open_.back();
    open_.pop_back();
    if (std::exchange(seen_[one], round_) == round_) continue;
    const State& known = regex_->states_[one];
    switch (known.kind) {
      case Kind::kFound:
        found_ = true;
        break;
      case Kind::kFork:
        open_.push_back(known.other);
        open_.push_back(known.next);
        break;
      case Kind::kBegin:
        if (!began_) open_.push_back(known.next);
        break;
      case Kind::kEnd:
        if (at_end) open_.push_back(known.next);
        states->push_back(one);
        break;
      case Kind::kBytes:
        states->push_back(one);
        break;
    }
  }
}

void CMakeRegex::Search::Step(unsigned char byte) {
  ++round_;
  next_.clear();
  began_ = true;
  for (const uint32_t one : now_) {
    const State& state = regex_->states_[one];
    if (state.kind == Kind::kBytes && regex_->sets_[state.bytes][byte]) Reach(state.next, /*at_end=*/false, &next_);
  }
  Reach(regex_->start_, /*at_end=*/false, &next_);  // it may begin anywhere
  std::swap(now_, next_);
}

void CMakeRegex::Search::Feed(absl::string_view bytes) {
  for (const char byte : bytes) {
    if (found_) return;
    Step(static_cast<unsigned char>(byte));
  }
}

bool CMakeRegex::Search::Found() {
  if (found_) return true;
  ++round_;
  const States last = std::exchange(now_, {});
  for (const uint32_t one : last) {
    if (regex_->states_[one].kind == Kind::kEnd) Reach(one, /*at_end=*/true, &now_);
  }
  return found_;
}

}  // namespace dtest
