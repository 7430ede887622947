#include "agent/execute/network_calls.h"

#include <linux/audit.h>
#include <linux/net.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "absl/types/span.h"

namespace dtest {
namespace {

enum class Call : uint8_t { kSocket, kConnect, kSendTo, kSendMessage, kSendMessages, kSocketCall, kMakeRing };

// Those of one machine stand together.
struct Row {
  uint32_t machine;
  uint32_t number;
  Call call;
  bool narrow;  // pointers in what its arguments point to are of 32 bits
};

#if defined(__x86_64__)
constexpr uint32_t kX32 = 0x40000000;
constexpr Row kRows[] = {
    {AUDIT_ARCH_X86_64, 41, Call::kSocket, false},
    {AUDIT_ARCH_X86_64, 42, Call::kConnect, false},
    {AUDIT_ARCH_X86_64, 44, Call::kSendTo, false},
    {AUDIT_ARCH_X86_64, 46, Call::kSendMessage, false},
    {AUDIT_ARCH_X86_64, 307, Call::kSendMessages, false},
    {AUDIT_ARCH_X86_64, 425, Call::kMakeRing, false},
    {AUDIT_ARCH_X86_64, kX32 + 41, Call::kSocket, true},
    {AUDIT_ARCH_X86_64, kX32 + 42, Call::kConnect, true},
    {AUDIT_ARCH_X86_64, kX32 + 44, Call::kSendTo, true},
    {AUDIT_ARCH_X86_64, kX32 + 518, Call::kSendMessage, true},
    {AUDIT_ARCH_X86_64, kX32 + 538, Call::kSendMessages, true},
    {AUDIT_ARCH_X86_64, kX32 + 425, Call::kMakeRing, true},
    {AUDIT_ARCH_I386, 359, Call::kSocket, true},
    {AUDIT_ARCH_I386, 362, Call::kConnect, true},
    {AUDIT_ARCH_I386, 369, Call::kSendTo, true},
    {AUDIT_ARCH_I386, 370, Call::kSendMessage, true},
    {AUDIT_ARCH_I386, 345, Call::kSendMessages, true},
    {AUDIT_ARCH_I386, 102, Call::kSocketCall, true},
    {AUDIT_ARCH_I386, 425, Call::kMakeRing, true},
};
#elif defined(__aarch64__)
constexpr Row kRows[] = {
    {AUDIT_ARCH_AARCH64, 198, Call::kSocket, false},
    {AUDIT_ARCH_AARCH64, 203, Call::kConnect, false},
    {AUDIT_ARCH_AARCH64, 206, Call::kSendTo, false},
    {AUDIT_ARCH_AARCH64, 211, Call::kSendMessage, false},
    {AUDIT_ARCH_AARCH64, 269, Call::kSendMessages, false},
    {AUDIT_ARCH_AARCH64, 425, Call::kMakeRing, false},
    {AUDIT_ARCH_ARM, 281, Call::kSocket, true},
    {AUDIT_ARCH_ARM, 283, Call::kConnect, true},
    {AUDIT_ARCH_ARM, 290, Call::kSendTo, true},
    {AUDIT_ARCH_ARM, 296, Call::kSendMessage, true},
    {AUDIT_ARCH_ARM, 374, Call::kSendMessages, true},
    {AUDIT_ARCH_ARM, 425, Call::kMakeRing, true},
};
#else
constexpr absl::Span<const Row> kRows;
#endif

// Of <linux/net.h>: a socket of IPv4 that is of this type is one of AF_PACKET to the kernel. Flags stand above the
// type.
constexpr uint32_t kPacketType = 10, kTypeBits = 0xf;

constexpr uint32_t kNotThere = SECCOMP_RET_ERRNO | ENOSYS;

sock_filter Load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter Return(uint32_t value) { return BPF_STMT(BPF_RET | BPF_K, value); }
sock_filter IfEqual(uint32_t value, size_t skipped_then, size_t skipped_else) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, static_cast<uint8_t>(skipped_then),
                  static_cast<uint8_t>(skipped_else));
}
// Both machines put the lower half first.
size_t LowerHalf(size_t argument) { return offsetof(seccomp_data, args) + argument * sizeof(uint64_t); }
size_t UpperHalf(size_t argument) { return LowerHalf(argument) + sizeof(uint32_t); }

// What follows the question whether it is this call.
std::vector<sock_filter> Answer(Call call) {
  const sock_filter tell = Return(SECCOMP_RET_USER_NOTIF), go_on = Return(SECCOMP_RET_ALLOW);
  switch (call) {
    case Call::kMakeRing:
      return {Return(kNotThere)};
    case Call::kSocket:  // as OpensDevice
      return {Load(LowerHalf(0)),
              IfEqual(AF_PACKET, 4, 0),
              IfEqual(AF_INET, 0, 4),
              Load(LowerHalf(1)),
              BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kTypeBits),
              IfEqual(kPacketType, 0, 1),
              tell,
              go_on};
    case Call::kSendTo:  // without an address it is send(2)
      return {Load(LowerHalf(4)), IfEqual(0, 0, 2), Load(UpperHalf(4)), IfEqual(0, 1, 0), tell, go_on};
    case Call::kSocketCall:
      return {Load(LowerHalf(0)),
              IfEqual(SYS_SOCKET, 4, 0),
              IfEqual(SYS_CONNECT, 3, 0),
              IfEqual(SYS_SENDTO, 2, 0),
              IfEqual(SYS_SENDMSG, 1, 0),
              IfEqual(SYS_SENDMMSG, 0, 1),
              tell,
              go_on};
    default:
      return {tell};
  }
}

using Reader = absl::FunctionRef<absl::StatusOr<std::string>(uint64_t, size_t)>;

constexpr size_t kMostMessages = 1024;  // that the kernel takes of one sendmmsg: UIO_MAXIOV

uint64_t NumberAt(absl::string_view bytes, size_t at, bool narrow) {
  uint64_t wide = 0;
  std::memcpy(&wide, bytes.data() + at, narrow ? sizeof(uint32_t) : sizeof wide);
  return wide;
}

// The length is an int: one that is negative is none.
absl::Status ReadAddress(Reader read, uint64_t address, uint64_t length, std::vector<std::string>* to) {
  const auto size = static_cast<int32_t>(length);
  if (address == 0 || size <= 0) return absl::OkStatus();
  absl::StatusOr<std::string> bytes = read(address, std::min<size_t>(size, sizeof(sockaddr_storage)));
  if (!bytes.ok()) return bytes.status();
  to->push_back(*std::move(bytes));
  return absl::OkStatus();
}

// Those of `count` headers, which are the beginnings of elements of an array.
absl::Status ReadHeaders(Reader read, uint64_t array, size_t count, bool narrow, std::vector<std::string>* to) {
  const size_t pointer = narrow ? sizeof(uint32_t) : sizeof(uint64_t);  // the name; its length follows
  const size_t header = pointer + sizeof(uint32_t);
  const size_t stride = narrow ? 32 : sizeof(mmsghdr);
  for (size_t i = 0; i < count; ++i) {
    const absl::StatusOr<std::string> bytes = read(array + i * stride, header);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() < header) return absl::OkStatus();
    absl::Status status =
        ReadAddress(read, NumberAt(*bytes, 0, narrow), NumberAt(*bytes, pointer, /*narrow=*/true), to);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

bool OpensDevice(uint64_t family, uint64_t type) {
  const auto of = static_cast<uint32_t>(family);
  return of == AF_PACKET || (of == AF_INET && (type & kTypeBits) == kPacketType);
}

absl::StatusOr<NamedAddresses> AddressesOf(Call call, bool narrow, const uint64_t* arguments, Reader read) {
  NamedAddresses named;
  named.sends = call != Call::kConnect;
  absl::Status status;
  switch (call) {
    case Call::kSocket:
      named.opens_device = OpensDevice(arguments[0], arguments[1]);
      break;
    case Call::kConnect:
      status = ReadAddress(read, arguments[1], arguments[2], &named.addresses);
      break;
    case Call::kSendTo:
      status = ReadAddress(read, arguments[4], arguments[5], &named.addresses);
      break;
    case Call::kSendMessage:
      status = ReadHeaders(read, arguments[1], 1, narrow, &named.addresses);
      break;
    case Call::kSendMessages:
      status = ReadHeaders(read, arguments[1], std::min<uint64_t>(static_cast<uint32_t>(arguments[2]), kMostMessages),
                           narrow, &named.addresses);
      break;
    default:
      break;
  }
  if (!status.ok()) return status;
  return named;
}

}  // namespace

std::vector<sock_filter> NetworkFilter() {
  const absl::Span<const Row> rows(kRows);
  std::vector<sock_filter> filter;
  if (rows.empty()) return filter;
  filter.push_back(Load(offsetof(seccomp_data, arch)));
  for (size_t begin = 0; begin < rows.size();) {
    const uint32_t machine = rows[begin].machine;
    std::vector<sock_filter> of_machine = {Load(offsetof(seccomp_data, nr))};
    for (; begin < rows.size() && rows[begin].machine == machine; ++begin) {
      const std::vector<sock_filter> answer = Answer(rows[begin].call);
      of_machine.push_back(IfEqual(rows[begin].number, 0, answer.size()));
      of_machine.insert(of_machine.end(), answer.begin(), answer.end());
    }
    of_machine.push_back(Return(SECCOMP_RET_ALLOW));
    filter.push_back(IfEqual(machine, 0, of_machine.size()));
    filter.insert(filter.end(), of_machine.begin(), of_machine.end());
  }
  filter.push_back(Return(kNotThere));
  return filter;
}

absl::StatusOr<NamedAddresses> AddressesOf(const seccomp_data& call, Reader read) {
  const absl::Span<const Row> rows(kRows);
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& one) {
    return one.machine == call.arch && one.number == static_cast<uint32_t>(call.nr);
  });
  if (row == rows.end()) return NamedAddresses();
  uint64_t arguments[6];
  std::copy(std::begin(call.args), std::end(call.args), arguments);
  if (row->call != Call::kSocketCall) return AddressesOf(row->call, row->narrow, arguments, read);
  const absl::StatusOr<std::string> packed = read(arguments[1], 6 * sizeof(uint32_t));
  if (!packed.ok()) return packed.status();
  const auto which = static_cast<uint32_t>(arguments[0]);
  const size_t given = packed->size() / sizeof(uint32_t);
  for (size_t i = 0; i < 6; ++i) arguments[i] = i < given ? NumberAt(*packed, i * sizeof(uint32_t), true) : 0;
  const Call call_of_socket = which == SYS_SOCKET    ? Call::kSocket
                              : which == SYS_CONNECT ? Call::kConnect
                              : which == SYS_SENDTO  ? Call::kSendTo
                              : which == SYS_SENDMSG ? Call::kSendMessage
                                                     : Call::kSendMessages;
  return AddressesOf(call_of_socket, row->narrow, arguments, read);
}

}  // namespace dtest
