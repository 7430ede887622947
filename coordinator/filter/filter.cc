#include "coordinator/filter/filter.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "dtest/base/glob.h"
#include "dtest/base/nearest.h"

namespace dtest {
namespace {

// Deeper than anybody writes, and far from the end of the stack.
constexpr int kMostDepth = 100;

bool InSuite(const FilterSubject& subject, absl::string_view suite) {
  if (subject.has_info) return subject.info.suite == suite && !suite.empty();
  const absl::string_view name = subject.info.name;
  return name.size() > suite.size() && name[suite.size()] == '.' && absl::StartsWith(name, suite);
}

}  // namespace

// One text that a case has, and how it is compared.
struct Filter::Node {
  enum class Kind { kAnd, kOr, kNot, kPattern, kPredicate, kFailed, kNew, kAll };
  // Of a pattern or the argument of a predicate.
  enum class Match { kPart, kGlob, kExact, kWhole, kRegex };
  enum class Field { kSuite, kName, kUnit, kParameter, kLabel, kFile };

  Kind kind = Kind::kAll;
  std::vector<std::shared_ptr<const Node>> children;
  Match match = Match::kPart;
  Field field = Field::kName;
  std::string text;
  std::shared_ptr<const re2::RE2> regex;

  bool Matches(const FilterSubject& subject) const;
  bool MatchesPattern(const FilterSubject& subject) const;
  bool MatchesField(const FilterSubject& subject) const;
  bool MatchesText(absl::string_view value) const;
  bool Any(bool (*test)(const Node&)) const;  // of it and all below it
};

namespace {

using Node = Filter::Node;
using NodePtr = std::shared_ptr<const Node>;

struct Predicate {
  absl::string_view name;
  Node::Kind kind;
  Node::Field field = Node::Field::kName;
};
constexpr Predicate kPredicates[] = {
    {"suite", Node::Kind::kPredicate, Node::Field::kSuite},
    {"name", Node::Kind::kPredicate, Node::Field::kName},
    {"unit", Node::Kind::kPredicate, Node::Field::kUnit},
    {"parameter", Node::Kind::kPredicate, Node::Field::kParameter},
    {"label", Node::Kind::kPredicate, Node::Field::kLabel},
    {"file", Node::Kind::kPredicate, Node::Field::kFile},
    {"failed", Node::Kind::kFailed},
    {"new", Node::Kind::kNew},
    {"all", Node::Kind::kAll},
};

const Predicate* FindPredicate(absl::string_view name) {
  const auto* const found = std::find_if(std::begin(kPredicates), std::end(kPredicates),
                                         [name](const Predicate& predicate) { return predicate.name == name; });
  return found == std::end(kPredicates) ? nullptr : found;
}

std::string PredicateNames() {
  return absl::StrJoin(kPredicates, ", ", [](std::string* out, const Predicate& predicate) {
    absl::StrAppend(out, predicate.name, "()");
  });
}

bool IsWordCharacter(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)); }

// What looks like the long form and is not: its predicate is mistyped, or stands where only a pattern can. Empty: it
// does not. A name that is meant so is written "=name", or in quotes.
std::string LooksLong(absl::string_view text) {
  if (absl::StartsWith(text, "!")) return "'!' needs a predicate: !name(*...*) is all but that";
  std::vector<absl::string_view> names;
  for (const Predicate& predicate : kPredicates) names.push_back(predicate.name);
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && IsWordCharacter(text[end])) ++end;
    if (end > i && end < text.size() && text[end] == '(') {
      const absl::string_view word = text.substr(i, end - i);
      const bool begins = i == 0 || absl::StrContains(" \t\n!(&|:-", absl::string_view(&text[i - 1], 1));
      if (begins && FindPredicate(word) != nullptr) {
        return absl::StrCat(word, "() cannot stand behind ':' or '-'; join with & and !");
      }
      if (const std::string meant = DidYouMean(word, names); begins && !meant.empty()) {
        return absl::StrCat("there is no predicate '", word, "'", meant, " A name is written =", text);
      }
    }
    i = end + (end == i ? 1 : 0);
  }
  return "";
}

// Of a word with an opening parenthesis behind it, at the beginning or behind a blank or an operator.
bool IsLongForm(absl::string_view text) {
  if (absl::StartsWith(text, "=")) return false;
  for (size_t i = 0; i < text.size();) {
    if (!IsWordCharacter(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && IsWordCharacter(text[end])) ++end;
    const bool begins = i == 0 || absl::StrContains(" \t\n!(&|", absl::string_view(&text[i - 1], 1));
    if (begins && end < text.size() && text[end] == '(' && FindPredicate(text.substr(i, end - i)) != nullptr)
      return true;
    i = end;
  }
  return false;
}

absl::Status Wrong(size_t at, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("at character ", at + 1, ": ", what));
}

// `text` as a pattern, or as the argument of a predicate.
absl::StatusOr<Node> MakeMatch(absl::string_view text, size_t at) {
  Node node;
  node.kind = Node::Kind::kPattern;
  if (absl::ConsumePrefix(&text, "=")) {
    node.match = Node::Match::kExact;
  } else if (absl::StrContains(text, "*") || absl::StrContains(text, "?")) {
    node.match = Node::Match::kGlob;
  }
  if (text.empty()) {
    return Wrong(at, "an empty pattern selects nothing; leave the option out to select everything");
  }
  node.text = std::string(text);
  return node;
}

NodePtr Share(Node node) { return std::make_shared<const Node>(std::move(node)); }

NodePtr Join(Node::Kind kind, std::vector<NodePtr> children) {
  if (children.size() == 1) return children.front();
  Node node;
  node.kind = kind;
  node.children = std::move(children);
  return Share(std::move(node));
}

NodePtr Not(NodePtr child) {
  Node node;
  node.kind = Node::Kind::kNot;
  node.children.push_back(std::move(child));
  return Share(std::move(node));
}

// At single colons; "::" is part of what is beside it.
std::vector<absl::string_view> SplitAtColons(absl::string_view text) {
  std::vector<absl::string_view> parts;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ':') continue;
    if (i + 1 < text.size() && text[i + 1] == ':') {
      ++i;
      continue;
    }
    parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

absl::StatusOr<NodePtr> ParseShort(absl::string_view text) {
  if (const std::string problem = LooksLong(text); !absl::StartsWith(text, "=") && !problem.empty()) {
    return absl::InvalidArgumentError(problem);
  }
  std::vector<NodePtr> including, excluding;
  bool is_excluding = false;
  const std::vector<absl::string_view> patterns =
      absl::StartsWith(text, "=") ? std::vector<absl::string_view>{text} : SplitAtColons(text);
  for (absl::string_view pattern : patterns) {
    if (pattern.data() != text.data() && absl::ConsumePrefix(&pattern, "-")) is_excluding = true;
    absl::StatusOr<Node> node = MakeMatch(pattern, static_cast<size_t>(pattern.data() - text.data()));
    if (!node.ok()) return node.status();
    (is_excluding ? excluding : including).push_back(Share(*std::move(node)));
  }
  NodePtr root = Join(Node::Kind::kOr, std::move(including));
  if (excluding.empty()) return root;
  return Join(Node::Kind::kAnd, {std::move(root), Not(Join(Node::Kind::kOr, std::move(excluding)))});
}

// Of the long form: recursive descent.
class LongForm {
 public:
  explicit LongForm(absl::string_view text) : text_(text) {}

  absl::StatusOr<NodePtr> Parse() {
    absl::StatusOr<NodePtr> root = Or();
    if (!root.ok()) return root;
    SkipBlanks();
    if (at_ < text_.size())
      return Wrong(at_, absl::StrCat("'", text_.substr(at_, 1), "' is not expected; join with & or |"));
    return root;
  }

 private:
  absl::StatusOr<NodePtr> Or() { return Joined(Node::Kind::kOr, '|', &LongForm::And); }
  absl::StatusOr<NodePtr> And() { return Joined(Node::Kind::kAnd, '&', &LongForm::Unary); }

  absl::StatusOr<NodePtr> Joined(Node::Kind kind, char joint, absl::StatusOr<NodePtr> (LongForm::*part)()) {
    std::vector<NodePtr> parts;
    do {
      absl::StatusOr<NodePtr> one = (this->*part)();
      if (!one.ok()) return one;
      parts.push_back(*std::move(one));
    } while (Consume(joint) && (Consume(joint) || true));  // "&&" and "||" are what people type, too
    return Join(kind, std::move(parts));
  }

  absl::StatusOr<NodePtr> Unary() {
    if (++depth_ > kMostDepth) return Wrong(at_, "too many parentheses inside one another");
    absl::StatusOr<NodePtr> node = Atom();
    --depth_;
    return node;
  }

  absl::StatusOr<NodePtr> Atom() {
    if (Consume('!')) {
      absl::StatusOr<NodePtr> child = Unary();
      if (!child.ok()) return child;
      return Not(*std::move(child));
    }
    if (Consume('(')) {
      const size_t opened = at_ - 1;
      absl::StatusOr<NodePtr> inner = Or();
      if (inner.ok() && !Consume(')')) return Wrong(opened, "this parenthesis is not closed");
      return inner;
    }
    SkipBlanks();
    const size_t begin = at_;
    if (at_ == text_.size()) return Wrong(at_, "it ends where a predicate or a pattern is expected");
    if (text_[at_] == '"') return Quoted();
    size_t end = at_;
    while (end < text_.size() && !absl::StrContains(" \t\n&|!()", text_.substr(end, 1))) ++end;
    const absl::string_view word = text_.substr(begin, end - begin);
    if (word.empty()) return Wrong(at_, absl::StrCat("'", text_.substr(at_, 1), "' is not expected"));
    at_ = end;
    if (at_ < text_.size() && text_[at_] == '(') return Call(word, begin);
    absl::StatusOr<Node> pattern = MakeMatch(word, begin);
    if (!pattern.ok()) return pattern.status();
    return Share(*std::move(pattern));
  }

  absl::StatusOr<NodePtr> Quoted() {
    const size_t begin = at_++;
    const size_t end = text_.find('"', at_);
    if (end == absl::string_view::npos) return Wrong(begin, "this quote is not closed");
    absl::StatusOr<Node> pattern = MakeMatch(text_.substr(at_, end - at_), begin);
    if (!pattern.ok()) return pattern.status();
    at_ = end + 1;
    return Share(*std::move(pattern));
  }

  absl::StatusOr<NodePtr> Call(absl::string_view name, size_t begin) {
    const Predicate* const predicate = FindPredicate(name);
    if (predicate == nullptr) {
      return Wrong(begin, absl::StrCat("there is no predicate '", name, "'; there are ", PredicateNames()));
    }
    const size_t opened = at_++;
    SkipBlanks();
    Node node;
    // Else it is a text that begins with a slash: a path.
    const size_t end = EndOfRegex(*predicate);
    if (end != absl::string_view::npos) {
      re2::RE2::Options options;
      options.set_log_errors(false);
      options.set_encoding(re2::RE2::Options::EncodingLatin1);  // names are any bytes
      const absl::string_view pattern = text_.substr(at_ + 1, end - at_ - 1);
      node.regex = std::make_shared<const re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
      if (!node.regex->ok()) return Wrong(at_, absl::StrCat("/", pattern, "/: ", node.regex->error()));
      node.match = Node::Match::kRegex;
      at_ = end + 2;
    } else {
      absl::StatusOr<absl::string_view> argument = Argument(opened);
      if (!argument.ok()) return argument.status();
      if (predicate->kind != Node::Kind::kPredicate) {
        if (!argument->empty()) return Wrong(opened + 1, absl::StrCat(name, "() takes nothing"));
      } else {
        if (argument->empty()) return Wrong(opened + 1, absl::StrCat(name, "() needs what to look for"));
        absl::StatusOr<Node> match = MakeMatch(*argument, opened + 1);
        if (!match.ok()) return match.status();
        node = *std::move(match);
        // Of one text: plain words are the whole of it, as in `pytest -m slow` and `ctest -L`.
        if (node.match == Node::Match::kPart) node.match = Node::Match::kExact;
      }
    }
    if (node.match == Node::Match::kRegex && predicate->kind != Node::Kind::kPredicate) {
      return Wrong(opened + 1, absl::StrCat(name, "() takes nothing"));
    }
    node.kind = predicate->kind;
    node.field = predicate->field;
    return Share(std::move(node));
  }

  // Where the slash is that ends a regular expression which begins here; npos: none does. Paths begin with a slash,
  // too: of what may be one, the argument ends with the slash, parentheses counted.
  size_t EndOfRegex(const Predicate& predicate) const {
    if (at_ >= text_.size() || text_[at_] != '/') return absl::string_view::npos;
    const bool may_be_path = predicate.field == Node::Field::kUnit || predicate.field == Node::Field::kFile;
    if (!may_be_path) return text_.find("/)", at_ + 1);
    int depth = 1;
    for (size_t end = at_; end < text_.size(); ++end) {
      if (text_[end] == '(') ++depth;
      if (text_[end] != ')' || --depth > 0) continue;
      return end > at_ + 1 && text_[end - 1] == '/' ? end - 1 : absl::string_view::npos;
    }
    return absl::string_view::npos;
  }

  // Up to the parenthesis that closes the one at `opened`; pairs inside belong to it.
  absl::StatusOr<absl::string_view> Argument(size_t opened) {
    if (at_ < text_.size() && text_[at_] == '"') {
      const size_t end = text_.find('"', at_ + 1);
      if (end == absl::string_view::npos) return Wrong(at_, "this quote is not closed");
      const absl::string_view argument = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      if (!Consume(')')) return Wrong(opened, "this parenthesis is not closed");
      return argument;
    }
    int depth = 1;
    for (size_t end = at_; end < text_.size(); ++end) {
      if (text_[end] == '(') ++depth;
      if (text_[end] != ')' || --depth > 0) continue;
      const absl::string_view argument = absl::StripTrailingAsciiWhitespace(text_.substr(at_, end - at_));
      at_ = end + 1;
      return argument;
    }
    return Wrong(opened, "this parenthesis is not closed");
  }

  void SkipBlanks() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool Consume(char c) {
    SkipBlanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

bool Filter::Node::MatchesText(absl::string_view value) const {
  switch (match) {
    case Match::kPart:
      return absl::StrContains(value, text);
    case Match::kGlob:
      return GlobMatches(text, value);
    case Match::kExact:
    case Match::kWhole:
      return value == text;
    case Match::kRegex:
      return re2::RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), *regex);
  }
  return false;
}

bool Filter::Node::MatchesField(const FilterSubject& subject) const {
  const CaseInfo& info = subject.info;
  const absl::string_view unit = subject.unit;
  switch (field) {
    case Field::kSuite:
      if (subject.has_info) return !info.suite.empty() && MatchesText(info.suite);
      return MatchesText(info.name.substr(0, info.name.rfind('.')));
    case Field::kName:
      return MatchesText(info.name) ||
             (subject.has_info && !info.suite.empty() && MatchesText(NameInSuite(info.name, info.suite)));
    case Field::kUnit:
      return MatchesText(unit) || MatchesText(unit.substr(unit.rfind('/') + 1));
    case Field::kParameter:
      return subject.has_info && !info.parameter.empty() && MatchesText(info.parameter);
    case Field::kLabel:
      return std::any_of(info.labels.begin(), info.labels.end(),
                         [this](absl::string_view label) { return MatchesText(label); });
    case Field::kFile:
      return subject.has_info && !info.file.empty() &&
             (MatchesText(info.file) || MatchesText(info.file.substr(info.file.rfind('/') + 1)));
  }
  return false;
}

bool Filter::Node::MatchesPattern(const FilterSubject& subject) const {
  const absl::string_view unit = subject.unit, name = subject.info.name;
  // A plain unit's one case is named after it.
  const std::string full = name == unit ? std::string(name) : absl::StrCat(unit, ".", name);
  const size_t directory = unit.rfind('/') + 1;  // 0: none
  const absl::string_view brief = absl::string_view(full).substr(directory);
  switch (match) {
    case Match::kWhole:
      return text == full;
    case Match::kExact:
      return text == name || text == full || text == brief || text == unit || text == unit.substr(directory) ||
             InSuite(subject, text);
    case Match::kPart:
      return absl::StrContains(absl::StrContains(text, "/") ? full : brief, text);
    default:
      return MatchesText(name) || MatchesText(full) || MatchesText(brief);
  }
}

bool Filter::Node::Matches(const FilterSubject& subject) const {
  const auto matches = [&subject](const NodePtr& child) { return child->Matches(subject); };
  switch (kind) {
    case Kind::kAnd:
      return std::all_of(children.begin(), children.end(), matches);
    case Kind::kOr:
      return std::any_of(children.begin(), children.end(), matches);
    case Kind::kNot:
      return !matches(children.front());
    case Kind::kPattern:
      return MatchesPattern(subject);
    case Kind::kPredicate:
      return MatchesField(subject);
    case Kind::kFailed:
      return subject.failed_last;
    case Kind::kNew:
      return subject.never_ran;
    case Kind::kAll:
      return true;
  }
  return false;
}

bool Filter::Node::Any(bool (*test)(const Node&)) const {
  return test(*this) ||
         std::any_of(children.begin(), children.end(), [test](const NodePtr& child) { return child->Any(test); });
}

absl::StatusOr<Filter> Filter::Parse(absl::string_view expression) {
  absl::StatusOr<NodePtr> root = IsLongForm(expression) ? LongForm(expression).Parse() : ParseShort(expression);
  if (!root.ok()) return root.status();
  return Filter(*std::move(root));
}

Filter Filter::OfCase(absl::string_view full_name) {
  Node node;
  node.kind = Node::Kind::kPattern;
  node.match = Node::Match::kWhole;
  node.text = std::string(full_name);
  return Filter(Share(std::move(node)));
}

bool Filter::Matches(const FilterSubject& subject) const { return root_->Matches(subject); }

bool Filter::NeedsHistory() const {
  return root_->Any([](const Node& node) { return node.kind == Node::Kind::kFailed || node.kind == Node::Kind::kNew; });
}

bool Filter::NeedsInfo() const {
  return root_->Any([](const Node& node) {
    return node.kind == Node::Kind::kPredicate &&
           (node.field == Node::Field::kLabel || node.field == Node::Field::kFile ||
            node.field == Node::Field::kParameter);
  });
}

bool Filter::NeedsUnitOnly() const {
  return !NeedsHistory() && !root_->Any([](const Node& node) {
    return node.kind == Node::Kind::kPattern ||
           (node.kind == Node::Kind::kPredicate && node.field != Node::Field::kUnit);
  });
}

}  // namespace dtest
