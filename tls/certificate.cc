#include "tls/certificate.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>
#include <utility>

#include "tls/crypto.h"

namespace ws::tls {

namespace {

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioFree>;

core::Error file_error(const std::string& file, const std::string& what_and_cure) {
  return core::Error("tls: " + file + ": " + what_and_cure);
}

core::Result<BioPtr> open_file(const std::string& file) {
  ERR_clear_error();
  BioPtr bio(BIO_new_file(file.c_str(), "r"));
  if (bio) return bio;
  return file_error(
      file, "cannot be read (" + take_openssl_error() + "); check the path and its permissions");
}

// OpenSSL would ask for a passphrase on the terminal; a server has none.
int refuse_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

core::Result<PkeyPtr> load_key(const std::string& file) {
  auto bio = open_file(file);
  if (!bio) return bio.error();
  bool asked = false;
  PkeyPtr key(PEM_read_bio_PrivateKey(bio->get(), nullptr, refuse_passphrase, &asked));
  const std::string reason = take_openssl_error();
  if (key) return key;
  if (asked) {
    return file_error(file,
                      "the private key is encrypted; write it without a passphrase: openssl pkey "
                      "-in " +
                          file + " -out plain.pem");
  }
  return file_error(file, "holds no readable private key (" + reason +
                              "); pass a PEM file with a BEGIN PRIVATE KEY block");
}

std::string text_of(const ASN1_TIME* time) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || ASN1_TIME_print_ex(bio.get(), time, ASN1_DTFLGS_ISO8601) != 1) return "?";
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(length));
}

core::Result<core::Ok> check_key(const Certificate& certificate, const std::string& cert_file,
                                 const std::string& key_file) {
  for (const X509Ptr& candidate : certificate.chain) {
    const int belongs = X509_check_private_key(candidate.get(), certificate.key.get());
    ERR_clear_error();
    if (belongs != 1) continue;
    if (candidate == certificate.chain.front()) return core::Ok{};
    return file_error(cert_file,
                      "is in the wrong order; put the server's own certificate first and its "
                      "issuers after it");
  }
  return file_error(key_file, "the private key does not belong to " + cert_file +
                                  "; pass the key that was used to request that certificate");
}

constexpr std::string_view kHex = "0123456789ABCDEF";

// One extension of the self-signed certificate, in the syntax of x509v3_config(5).
struct Extension {
  int nid;
  const char* value;
};
constexpr Extension kSelfSignedExtensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_subject_key_identifier, "hash"},
    {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1"},
};

bool add_extensions(X509* certificate) {
  X509V3_CTX where;
  X509V3_set_ctx(&where, certificate, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&where);
  for (const Extension& wanted : kSelfSignedExtensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &where, wanted.nid, wanted.value);
    const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    if (!added) return false;
  }
  return true;
}

bool set_random_serial(X509* certificate) {
  // RFC 5280 section 4.1.2.2: "Certificate users MUST be able to handle serialNumber values up to
  // 20 octets"; 16 with a clear top bit are positive and never repeat.
  std::array<std::uint8_t, 16> bytes;
  random_bytes(bytes);
  bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0x7F) | 0x40);
  return ASN1_STRING_set(X509_get_serialNumber(certificate), bytes.data(), bytes.size()) == 1;
}

bool fill_in(X509* certificate, EVP_PKEY* key) {
  constexpr long kDaySeconds = 24 * 60 * 60;
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* localhost = reinterpret_cast<const unsigned char*>("localhost");
  return X509_set_version(certificate, X509_VERSION_3) == 1 && set_random_serial(certificate) &&
         X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, localhost, -1, -1, 0) ==
             1 &&
         X509_set_issuer_name(certificate, name) == 1 &&
         // A day ago: the client's clock may be behind ours.
         X509_gmtime_adj(X509_getm_notBefore(certificate), -kDaySeconds) != nullptr &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), 364 * kDaySeconds) != nullptr &&
         X509_set_pubkey(certificate, key) == 1 && add_extensions(certificate) &&
         X509_sign(certificate, key, EVP_sha256()) != 0;
}

}  // namespace

void X509Free::operator()(x509_st* certificate) const {
  X509_free(certificate);
}
void PkeyFree::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

std::string take_openssl_error() {
  const unsigned long error = ERR_peek_error();  // the oldest: the cause of those after it
  const char* reason = ERR_SYSTEM_ERROR(error) ? std::strerror(ERR_GET_REASON(error))
                                               : ERR_reason_error_string(error);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

core::Result<std::vector<X509Ptr>> load_certificates(const std::string& file) {
  auto bio = open_file(file);
  if (!bio) return bio.error();
  std::vector<X509Ptr> found;
  while (X509* next = PEM_read_bio_X509(bio->get(), nullptr, nullptr, nullptr)) {
    found.emplace_back(next);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = take_openssl_error();
  if (!at_end) {
    return file_error(file, "certificate " + std::to_string(found.size() + 1) + " is damaged (" +
                                reason + "); copy the file again from where it was issued");
  }
  if (found.empty()) {
    return file_error(file, "holds no certificate; pass a PEM file with a BEGIN CERTIFICATE block");
  }
  return found;
}

core::Result<Certificate> load_certificate(const std::string& cert_file,
                                           const std::string& key_file) {
  auto chain = load_certificates(cert_file);
  if (!chain) return chain.error();
  auto key = load_key(key_file);
  if (!key) return key.error();
  Certificate certificate{std::move(*chain), std::move(*key)};
  if (auto fits = check_key(certificate, cert_file, key_file); !fits) return fits.error();
  const ASN1_TIME* end = X509_get0_notAfter(certificate.chain.front().get());
  if (X509_cmp_current_time(end) < 0) {
    return file_error(cert_file, "the certificate expired on " + text_of(end) + "; renew it");
  }
  return certificate;
}

core::Result<Certificate> make_self_signed() {
  ERR_clear_error();
  Certificate made;
  made.key.reset(EVP_EC_gen("P-256"));
  made.chain.emplace_back(X509_new());
  if (!made.key || !made.chain.front() || !fill_in(made.chain.front().get(), made.key.get())) {
    return core::Error("tls: OpenSSL cannot make a self-signed certificate (" +
                       take_openssl_error() + "); pass a certificate and key file");
  }
  return made;
}

std::vector<std::string> dns_names(x509_st* certificate) {
  std::vector<std::string> names;
  auto* alternatives = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* alternative = sk_GENERAL_NAME_value(alternatives, i);
    if (alternative->type != GEN_DNS) continue;
    const ASN1_IA5STRING* text = alternative->d.dNSName;
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  GENERAL_NAMES_free(alternatives);
  ERR_clear_error();
  return names;
}

std::string fingerprint(const x509_st* certificate) {
  std::array<std::uint8_t, 32> digest{};
  unsigned int length = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &length) != 1) return "?";
  std::string text;
  for (const std::uint8_t byte : digest) {
    if (!text.empty()) text += ':';
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

core::Result<std::string> parse_fingerprint(std::string_view text) {
  constexpr std::size_t kBytes = 32;
  const std::size_t step = text.size() == 3 * kBytes - 1 ? 3 : 2;  // with colons, or without
  bool good = step == 3 || text.size() == 2 * kBytes;
  std::string canonical;
  for (std::size_t i = 0; i < text.size() && good; ++i) {
    if (i > 0 && i % step == 0) canonical += ':';
    if (i % step == 2) {
      good = text[i] == ':';
      continue;
    }
    const bool lower = text[i] >= 'a' && text[i] <= 'f';
    canonical += lower ? static_cast<char>(text[i] - 'a' + 'A') : text[i];
    good = kHex.find(canonical.back()) != std::string_view::npos;
  }
  if (good) return canonical;
  return core::Error("tls: \"" + std::string(text) +
                     "\" is no SHA-256 fingerprint; write its 32 bytes in hexadecimal, as "
                     "AA:BB:... or without the colons");
}

}  // namespace ws::tls
