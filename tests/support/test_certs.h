// Internal. Certificates for tests: made on the spot, as PEM files in a temporary directory.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ws::test {

struct CertOptions {
  std::vector<std::string> dns_names{};     // subject alternative names
  std::vector<std::string> ip_addresses{};  // likewise
  std::string issuer{};                     // the name of one made before; empty: self-signed
  bool is_ca = false;
  unsigned rsa_bits = 0;  // 0: a P-256 key
  int from_s = -3600;     // validity, in seconds from now
  int until_s = 3600;
};

// Makes the directory, and removes it with everything in it. thread: one.
class TestCerts {
 public:
  TestCerts();
  ~TestCerts();
  TestCerts(const TestCerts&) = delete;
  TestCerts& operator=(const TestCerts&) = delete;

  // Writes NAME.pem (the certificate, subject CN=NAME) and NAME.key (its private key).
  void make(const std::string& name, const CertOptions& options = {});
  void make_ca(const std::string& name) { make(name, {.is_ca = true}); }

  std::string cert(const std::string& name) const { return path(name + ".pem"); }
  std::string key(const std::string& name) const { return path(name + ".key"); }
  std::string path(const std::string& file) const { return (directory_ / file).string(); }
  // Any other file; returns its path.
  std::string write(const std::string& file, std::string_view content) const;
  static std::string read(const std::string& path);

 private:
  struct Made;
  std::filesystem::path directory_;
  std::vector<std::unique_ptr<Made>> made_;
};

}  // namespace ws::test
