#include "tests/support/guard_page.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "core/check.h"

namespace ws::test {

GuardedCopy::GuardedCopy(std::span<const std::uint8_t> bytes, Flush flush) {
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  // Room for the bytes in whole pages, one at least, so that an empty span points at memory too.
  const std::size_t room = (bytes.size() / page + 1) * page;
  map_bytes_ = page + room + page;
  map_ = mmap(nullptr, map_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  WS_CHECK(map_ != MAP_FAILED);
  std::uint8_t* start = static_cast<std::uint8_t*>(map_) + page;
  WS_CHECK(mprotect(start, room, PROT_READ | PROT_WRITE) == 0);
  if (flush == Flush::kEnd) start += room - bytes.size();
  span_ = {start, bytes.size()};
  if (!bytes.empty()) std::memcpy(start, bytes.data(), bytes.size());
}

GuardedCopy::GuardedCopy(std::string_view text, Flush flush)
    : GuardedCopy({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, flush) {}

GuardedCopy::~GuardedCopy() {
  munmap(map_, map_bytes_);
}

}  // namespace ws::test
