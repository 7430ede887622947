#include "agent/execute/network_address.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

using testing::Eq;
using testing::Optional;

template <typename Address>
std::string Bytes(const Address& address) {
  return std::string(reinterpret_cast<const char*>(&address), sizeof address);
}
std::string V4(const char* ip, uint16_t port = 80, int family = AF_INET) {
  sockaddr_in address = {};
  address.sin_family = static_cast<sa_family_t>(family);
  address.sin_port = htons(port);
  EXPECT_EQ(inet_pton(AF_INET, ip, &address.sin_addr), 1) << ip;
  return Bytes(address);
}
std::string V6(const char* ip, uint16_t port = 80) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  EXPECT_EQ(inet_pton(AF_INET6, ip, &address.sin6_addr), 1) << ip;
  return Bytes(address);
}
// The host has 198.51.100.7 and 2001:db8::7.
bool IsOwn(absl::string_view ip) {
  return ip == absl::string_view("\xc6\x33\x64\x07") ||
         ip == absl::string_view("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
}
std::optional<std::string> Connecting(const std::string& address) { return ForbiddenAddress(address, false, IsOwn); }
std::optional<std::string> Sending(const std::string& address) { return ForbiddenAddress(address, true, IsOwn); }

TEST(NetworkAddress, WhatTheHostItselfHasGoesOn) {
  for (const char* ip : {"127.0.0.1", "127.255.0.9", "0.0.0.0", "198.51.100.7"}) {
    EXPECT_EQ(Connecting(V4(ip)), std::nullopt) << ip;
    EXPECT_EQ(Sending(V4(ip)), std::nullopt) << ip;
    EXPECT_EQ(Connecting(V6(absl::StrCat("::ffff:", ip).c_str())), std::nullopt) << ip;
  }
  for (const char* ip : {"::1", "::", "2001:db8::7"}) EXPECT_EQ(Connecting(V6(ip)), std::nullopt) << ip;
}

TEST(NetworkAddress, AnyOtherIsForbiddenAndToldAsPeopleWriteIt) {
  EXPECT_THAT(Connecting(V4("192.0.2.1", 443)), Optional(Eq("192.0.2.1:443")));
  EXPECT_THAT(Sending(V4("198.51.100.8")), Optional(Eq("198.51.100.8:80")));
  EXPECT_THAT(Connecting(V4("128.0.0.1")), Optional(Eq("128.0.0.1:80")));
  EXPECT_THAT(Connecting(V4("0.0.0.1")), Optional(Eq("0.0.0.1:80")));
  EXPECT_THAT(Sending(V4("255.255.255.255", 67)), Optional(Eq("255.255.255.255:67")));
  EXPECT_THAT(Sending(V4("224.0.0.251", 5353)), Optional(Eq("224.0.0.251:5353")));
  EXPECT_THAT(Connecting(V6("2001:db8::1", 65535)), Optional(Eq("[2001:db8::1]:65535")));
  EXPECT_THAT(Connecting(V6("fe80::1")), Optional(Eq("[fe80::1]:80")));
  EXPECT_THAT(Connecting(V6("::2")), Optional(Eq("[::2]:80")));
  EXPECT_THAT(Connecting(V6("::127.0.0.1")), Optional(Eq("[::127.0.0.1]:80")));  // not a mapped one
  EXPECT_THAT(Connecting(V6("::ffff:192.0.2.1")), Optional(Eq("192.0.2.1:80")));
  EXPECT_THAT(Connecting(V4("192.0.2.53", 53)), Optional(Eq("192.0.2.53:53 (to look up a name)")));
}

TEST(NetworkAddress, OfNoFamilyADatagramGoesToIpv4AndAConnectionIsTakenBack) {
  EXPECT_THAT(Sending(V4("192.0.2.1", 9, AF_UNSPEC)), Optional(Eq("192.0.2.1:9")));
  EXPECT_EQ(Connecting(V4("192.0.2.1", 9, AF_UNSPEC)), std::nullopt);
}

TEST(NetworkAddress, OfNoFamilyItGoesToIpv6FromARawSocketOfThat) {
  const auto of_none = [](std::string address) { return address.replace(0, sizeof(sa_family_t), 2, '\0'); };
  EXPECT_THAT(Sending(of_none(V6("2001:db8::1", 9))), Optional(Eq("[2001:db8::1]:9")));
  for (const char* ip : {"::1", "2001:db8::7"}) EXPECT_EQ(Sending(of_none(V6(ip))), std::nullopt) << ip;
  EXPECT_EQ(Connecting(of_none(V6("2001:db8::1", 9))), std::nullopt);
}

TEST(NetworkAddress, OtherFamilies) {
  sockaddr_un path = {};
  path.sun_family = AF_UNIX;
  std::strcpy(path.sun_path, "/run/postgresql/.s.PGSQL.5432");
  EXPECT_EQ(Connecting(Bytes(path)), std::nullopt);
  EXPECT_EQ(Sending(V4("192.0.2.1", 9, AF_NETLINK)), std::nullopt);
  EXPECT_THAT(Sending(V4("192.0.2.1", 9, AF_PACKET)), Optional(Eq("a network device (AF_PACKET)")));
  struct {
    uint16_t family = 40, reserved = 0;
    uint32_t port = 22, machine;
    uint32_t more = 0;
  } vsock;
  vsock.machine = 2;
  EXPECT_THAT(Connecting(Bytes(vsock)), Optional(Eq("vsock 2:22")));
  vsock.machine = 1;
  EXPECT_EQ(Connecting(Bytes(vsock)), std::nullopt);
}

// The kernel refuses them (EINVAL), or they are of another kind.
TEST(NetworkAddress, WhatIsTooShortIsNone) {
  for (const std::string& whole : {V4("192.0.2.1"), V6("2001:db8::1")}) {
    const size_t needed = whole.size() == sizeof(sockaddr_in) ? 8 : 24;
    for (size_t size = 0; size < needed; ++size) EXPECT_EQ(Connecting(whole.substr(0, size)), std::nullopt) << size;
    EXPECT_NE(Connecting(whole.substr(0, needed)), std::nullopt);
  }
}

}  // namespace
}  // namespace dtest
