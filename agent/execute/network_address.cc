#include "agent/execute/network_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

constexpr size_t kPortAt = 2, kAddressAt = 4, kAddress6At = 8;  // in a sockaddr_in, in a sockaddr_in6
constexpr size_t kSize4 = 4, kSize6 = 16;
constexpr uint16_t kNameService = 53;
constexpr char kLoopback = 127;  // the first byte of all of its addresses

// Of <linux/vm_sockets.h>: the address is at 8, after the port.
constexpr int kVsock = 40;
constexpr size_t kVsockPortAt = 4, kVsockAddressAt = 8, kVsockSize = 12;
constexpr uint32_t kVsockLocal = 1;

constexpr absl::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
constexpr absl::string_view kZeros("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
constexpr absl::string_view kLoopback6("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);

// Zeros are this host, too.
bool IsLocal(absl::string_view ip) {
  if (ip.size() == kSize4) return ip[0] == kLoopback || ip == kZeros.substr(0, kSize4);
  if (ip.substr(0, kMapped.size()) == kMapped) return IsLocal(ip.substr(kMapped.size()));
  return ip == kZeros || ip == kLoopback6;
}

std::string Shown(absl::string_view ip, uint16_t port) {
  char text[INET6_ADDRSTRLEN] = "?";
  inet_ntop(ip.size() == kSize4 ? AF_INET : AF_INET6, ip.data(), text, sizeof text);
  const char* const why = port == kNameService ? " (to look up a name)" : "";
  return ip.size() == kSize4 ? absl::StrCat(text, ":", port, why) : absl::StrCat("[", text, "]:", port, why);
}

// In the host's order of bytes.
uint32_t HostNumber(absl::string_view address, size_t at) {
  uint32_t number;
  std::memcpy(&number, address.data() + at, sizeof number);
  return number;
}

// `address` as one of `family`, whatever it says itself.
std::optional<std::string> ForbiddenIp(absl::string_view address, int family,
                                       absl::FunctionRef<bool(absl::string_view)> is_own) {
  const size_t at = family == AF_INET ? kAddressAt : kAddress6At, size = family == AF_INET ? kSize4 : kSize6;
  if (address.size() < at + size) return std::nullopt;
  uint16_t port = 0;
  std::memcpy(&port, address.data() + kPortAt, sizeof port);
  absl::string_view ip = address.substr(at, size);
  if (IsLocal(ip)) return std::nullopt;
  if (ip.size() == kSize6 && ip.substr(0, kMapped.size()) == kMapped) ip.remove_prefix(kMapped.size());
  if (is_own(ip)) return std::nullopt;
  return Shown(ip, ntohs(port));
}

}  // namespace

std::optional<std::string> ForbiddenAddress(absl::string_view address, bool sends,
                                            absl::FunctionRef<bool(absl::string_view)> is_own) {
  uint16_t family = 0;
  if (address.size() < sizeof family) return std::nullopt;
  std::memcpy(&family, address.data(), sizeof family);
  // A datagram to no family goes to IPv4, or, from a raw socket of IPv6, to that; connecting there takes back what was
  // connected.
  if (family == AF_UNSPEC && sends) {
    std::optional<std::string> forbidden = ForbiddenIp(address, AF_INET, is_own);
    return forbidden.has_value() ? forbidden : ForbiddenIp(address, AF_INET6, is_own);
  }
  if (family == AF_PACKET) return kNetworkDevice;
  if (family == kVsock && address.size() >= kVsockSize) {
    const uint32_t machine = HostNumber(address, kVsockAddressAt);
    if (machine == kVsockLocal) return std::nullopt;
    return absl::StrCat("vsock ", machine, ":", HostNumber(address, kVsockPortAt));
  }
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  return ForbiddenIp(address, family, is_own);
}

}  // namespace dtest
