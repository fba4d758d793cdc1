// Internal. The keys that seal TLS session tickets.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

struct ssl_ctx_st;

namespace ws::tls {

// What RFC 5077 section 4 recommends a server keep: a name that finds the key, an AES key and a MAC
// key. Random when made, wiped when it goes.
struct TicketKey {
  explicit TicketKey(std::uint64_t now_ms);
  ~TicketKey();
  TicketKey(const TicketKey&) = delete;
  TicketKey& operator=(const TicketKey&) = delete;

  std::array<std::uint8_t, 16> name;
  std::array<std::uint8_t, 32> cipher_key;
  std::array<std::uint8_t, 32> mac_key;
  std::uint64_t made_ms;
};

// The key in use and the one before it. Stolen keys open recorded TLS 1.2 connections, so none
// lives longer than a day. thread: any.
class TicketKeys {
 public:
  // A ticket is good for as long as its key is in use, so the key before outlives its tickets.
  static constexpr std::uint64_t kRotateMs = 12 * 60 * 60 * 1000;
  static constexpr std::uint64_t kTicketLifeMs = kRotateMs;
  static constexpr std::uint64_t kKeyLifeMs = kRotateMs + kTicketLifeMs;

  explicit TicketKeys(std::uint64_t now_ms) : current_(std::make_shared<TicketKey>(now_ms)) {}

  // The key to seal with; a fresh one when it is time.
  std::shared_ptr<const TicketKey> current(std::uint64_t now_ms);
  // The key of that name, or null when it is not ours or too old.
  std::shared_ptr<const TicketKey> find(std::span<const std::uint8_t, 16> name,
                                        std::uint64_t now_ms);

  // Makes the sessions of `ctx` resumable by one ticket under these keys, which must outlive it;
  // not resumable at all when it verifies clients (set that first).
  void install(ssl_ctx_st* ctx);

 private:
  void rotate_if_due(std::uint64_t now_ms);

  std::mutex mutex_;                           // taken once per handshake, never per record
  std::shared_ptr<const TicketKey> current_;   // guarded by mutex_
  std::shared_ptr<const TicketKey> previous_;  // guarded by mutex_; null before the first rotation
};

}  // namespace ws::tls
