// Internal. The connections that a shard makes: attempts, reconnects, names.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "core/slab.h"
#include "net/resolver.h"
#include "ws/dial.h"

namespace ws {

class Shard;

// thread: the shard's.
class Dials {
 public:
  explicit Dials(Shard& shard) : shard_(shard) {}
  ~Dials();

  // So many have a number among a shard's ids.
  static constexpr std::size_t kDialsMax = std::size_t{1} << 21;

  void start(DialRequest request);
  // Closes it, and tries no more. Who is not connected then is told by on_failure.
  void cancel(DialId number);
  // Of one client, or (0) of all.
  void cancel_all(std::uint64_t owner, CloseCode code);
  // Afterwards: ends at once what is left of it.
  void drop_all(std::uint64_t owner);
  // An attempt is over, whether it came to a connection or not.
  void link_ended(Dial& dial);
  void on_retry(core::Id id);

 private:
  void attempt(Dial& dial);
  void cancel(Dial& dial, CloseCode code, CloseCause cause);
  void tell_failure(const Dial& dial, std::uint32_t pause_ms);
  void give_up(Dial& dial);
  // false: by the program, or there was to be one only.
  bool reconnects(const Dial& dial) const;
  std::uint32_t pause_before_retry(const Dial& dial) const;

  Shard& shard_;
  core::Slab<Dial> dials_;
  std::unordered_map<DialId, core::Id> by_number_;
  std::unique_ptr<net::Resolver> resolver_;  // once a name was to be looked up
};

}  // namespace ws
