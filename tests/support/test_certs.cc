#include "tests/support/test_certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>

#include "core/check.h"

namespace ws::test {

struct TestCerts::Made {
  std::string name;
  X509* certificate = X509_new();
  EVP_PKEY* key = nullptr;
  ~Made() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
};

namespace {

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX where;
  X509V3_set_ctx(&where, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&where);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &where, nid, value.c_str());
  WS_CHECK(extension != nullptr);
  WS_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

std::string alternatives(const CertOptions& options) {
  std::string list;
  for (const std::string& name : options.dns_names) list += ",DNS:" + name;
  for (const std::string& address : options.ip_addresses) list += ",IP:" + address;
  return list.empty() ? list : list.substr(1);
}

}  // namespace

TestCerts::TestCerts() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ws-certs-XXXXXX").string();
  WS_CHECK(::mkdtemp(pattern.data()) != nullptr);
  directory_ = pattern;
}

TestCerts::~TestCerts() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void TestCerts::make(const std::string& name, const CertOptions& options) {
  auto& made = *made_.emplace_back(std::make_unique<Made>());
  made.name = name;
  made.key = options.rsa_bits == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(options.rsa_bits);
  WS_CHECK(made.key != nullptr);
  Made* issuer = &made;
  for (const auto& earlier : made_) {
    if (!options.issuer.empty() && earlier->name == options.issuer) issuer = earlier.get();
  }
  WS_CHECK(options.issuer.empty() || issuer != &made);

  X509* certificate = made.certificate;
  WS_CHECK(X509_set_version(certificate, X509_VERSION_3) == 1);
  // Unique per issuer, as RFC 5280 asks; X509_NAME_cmp and the serial are how chains are told
  // apart.
  const auto serial = static_cast<long>(made_.size());
  WS_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial) == 1);
  const auto* common_name = reinterpret_cast<const unsigned char*>(name.c_str());
  WS_CHECK(X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                      MBSTRING_ASC, common_name, -1, -1, 0) == 1);
  WS_CHECK(X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate)) == 1);
  WS_CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate), options.from_s) != nullptr);
  WS_CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate), options.until_s) != nullptr);
  WS_CHECK(X509_set_pubkey(certificate, made.key) == 1);
  add_extension(certificate, issuer->certificate, NID_basic_constraints,
                options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (const std::string names = alternatives(options); !names.empty()) {
    add_extension(certificate, issuer->certificate, NID_subject_alt_name, names);
  }
  WS_CHECK(X509_sign(certificate, issuer->key, EVP_sha256()) != 0);

  std::FILE* file = std::fopen(cert(name).c_str(), "w");
  WS_CHECK(file != nullptr);
  WS_CHECK(PEM_write_X509(file, certificate) == 1);
  std::fclose(file);
  file = std::fopen(key(name).c_str(), "w");
  WS_CHECK(file != nullptr);
  WS_CHECK(PEM_write_PrivateKey(file, made.key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  std::fclose(file);
}

std::string TestCerts::write(const std::string& file, std::string_view content) const {
  std::ofstream(path(file), std::ios::binary) << content;
  return path(file);
}

std::string TestCerts::read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace ws::test
