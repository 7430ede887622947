#include "dtest/base/endian.h"

#include <gtest/gtest.h>

#include <string>

namespace dtest {
namespace {

TEST(Endian, LowestByteFirst) {
  std::string bytes = "#";
  AppendLittleEndian(0x0102030405060708, 8, &bytes);
  AppendLittleEndian(0xfffffffe, 2, &bytes);
  EXPECT_EQ(bytes, "#\x08\x07\x06\x05\x04\x03\x02\x01\xfe\xff");
  EXPECT_EQ(ReadLittleEndian(bytes, 1, 8), 0x0102030405060708u);
  EXPECT_EQ(ReadLittleEndian(bytes, 9, 2), 0xfffeu) << "no sign is carried";
  EXPECT_EQ(ReadBigEndian(bytes, 1, 8), 0x0807060504030201u);
  EXPECT_EQ(ReadBigEndian(bytes, 9, 1), 0xfeu);
}

}  // namespace
}  // namespace dtest
