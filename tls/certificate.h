// Internal. Certificates and keys: read from PEM files, or self-signed and made in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

struct evp_pkey_st;
struct x509_st;

namespace ws::tls {

struct X509Free {
  void operator()(x509_st* certificate) const;
};
struct PkeyFree {
  void operator()(evp_pkey_st* key) const;
};
using X509Ptr = std::unique_ptr<x509_st, X509Free>;
using PkeyPtr = std::unique_ptr<evp_pkey_st, PkeyFree>;

// What a server proves its name with.
struct Certificate {
  std::vector<X509Ptr> chain;  // leaf first, never empty
  PkeyPtr key;                 // the leaf's
};

// Reads and checks a chain and its key. errors: one line naming the file and the cure, when a file
// is unreadable or not PEM, the key is another certificate's, or the certificate has expired.
core::Result<Certificate> load_certificate(const std::string& cert_file,
                                           const std::string& key_file);

// Every certificate of a PEM file, at least one. errors: as above.
core::Result<std::vector<X509Ptr>> load_certificates(const std::string& file);

// P-256 and SHA-256, for localhost, 127.0.0.1 and ::1; valid for 365 days from a day ago.
core::Result<Certificate> make_self_signed();

// The DNS subject alternative names, as written.
std::vector<std::string> dns_names(x509_st* certificate);

// SHA-256 of the certificate, as AA:BB:...
std::string fingerprint(const x509_st* certificate);

// A SHA-256 fingerprint as a person writes it (either case, with or without colons), in the form of
// fingerprint(). errors: one line with the text and the cure.
core::Result<std::string> parse_fingerprint(std::string_view text);

// Why the OpenSSL call that just failed did so, in its own words. Empties the error queue.
std::string take_openssl_error();

}  // namespace ws::tls
