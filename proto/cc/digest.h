#ifndef ATTUNE_PROTO_CC_DIGEST_H_
#define ATTUNE_PROTO_CC_DIGEST_H_

#include <memory>
#include <string>
#include <string_view>

namespace attune {

// SHA-256 over bytes that come in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view bytes);
  // The digest of all bytes so far as 64 lower-case hexadecimal digits; more
  // bytes may follow.
  std::string HexDigest() const;

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_DIGEST_H_
