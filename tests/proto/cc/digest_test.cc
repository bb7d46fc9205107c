#include "proto/cc/digest.h"

#include <utility>

#include "gtest/gtest.h"

namespace attune {
namespace {

// FIPS 180-2's example.
constexpr char kAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, HashesTheKnownExamples) {
  EXPECT_EQ(Sha256Hex("abc"), kAbc);
  EXPECT_EQ(Sha256Hex(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, PiecesGiveTheDigestOfTheWhole) {
  Sha256 hash;
  hash.Update("a");
  const std::string first = hash.HexDigest();
  hash.Update("bc");

  EXPECT_EQ(first, Sha256Hex("a"));
  EXPECT_EQ(hash.HexDigest(), kAbc);
  Sha256 moved = std::move(hash);
  EXPECT_EQ(moved.HexDigest(), kAbc);
}

}  // namespace
}  // namespace attune
