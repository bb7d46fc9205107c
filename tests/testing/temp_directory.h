#ifndef ATTUNE_TESTS_TESTING_TEMP_DIRECTORY_H_
#define ATTUNE_TESTS_TESTING_TEMP_DIRECTORY_H_

#include <string>
#include <string_view>

namespace attune {

// A new directory that is removed with everything in it when this is destroyed.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  // The path of something in it.
  std::string operator/(std::string_view name) const;

 private:
  std::string path_;
};

// The bytes of a file; ends the test program if it cannot be read.
std::string ReadBytes(const std::string& path);
// Replaces a file.
void WriteBytes(const std::string& path, std::string_view bytes);

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_TEMP_DIRECTORY_H_
