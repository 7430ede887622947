// A visitor of a std::variant, made of one lambda for each kind.
#ifndef DTEST_BASE_OVERLOADED_H_
#define DTEST_BASE_OVERLOADED_H_

namespace dtest {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace dtest

#endif  // DTEST_BASE_OVERLOADED_H_
