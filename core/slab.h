// Internal. Fixed slots with generations: the one owner of connections.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/id.h"

namespace ws::core {

// Objects never move and slots are reused, last freed first (its memory is still warm).
// thread: the owner's only. cost: O(1) each; memory grows by chunks and is kept.
template <class T>
class Slab {
 public:
  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for_each([this](T& object, Id id) { (void)object, erase(id); });
  }

  // Constructs T(id, args...) in a free slot. The constructor may not use this slab.
  template <class... Args>
  T& emplace(Args&&... args) {
    if (free_head_ == kNone) add_chunk();
    const std::uint32_t index = free_head_;
    Slot& slot = slot_at(index);
    T* object = ::new (static_cast<void*>(slot.bytes))
        T(Id{index, slot.generation}, std::forward<Args>(args)...);
    free_head_ = slot.next_free;  // only now: a constructor that throws takes no slot
    slot.next_free = kLive;
    ++size_;
    return *object;
  }

  // The object `id` names, or null when it is gone (or never was).
  T* find(Id id) {
    if (id.index >= chunks_.size() * kChunkSlots) return nullptr;
    Slot& slot = slot_at(id.index);
    return slot.generation == id.generation && slot.next_free == kLive ? slot.object() : nullptr;
  }

  // Whether `object`, which a slab that still exists once gave out, is alive. thread: the owner's.
  static bool is_live(const T& object) {
    // Its bytes are the first member of its slot.
    return reinterpret_cast<const Slot*>(&object)->next_free == kLive;
  }

  // Destroys the object; from here on `id` is stale.
  void erase(Id id) {
    T* object = find(id);
    WS_CHECK(object != nullptr);
    Slot& slot = slot_at(id.index);
    object->~T();
    // Skip 0 when the generation wraps: a default Id must stay stale.
    if (++slot.generation == 0) slot.generation = 1;
    slot.next_free = free_head_;
    free_head_ = id.index;
    --size_;
  }

  // Visits every live object; the visitor may erase the one it is given.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::uint32_t index = 0; index < chunks_.size() * kChunkSlots; ++index) {
      Slot& slot = slot_at(index);
      if (slot.next_free == kLive) visit(*slot.object(), Id{index, slot.generation});
    }
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint32_t kChunkSlots = 64;
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint32_t kLive = UINT32_MAX - 1;

  struct Slot {
    alignas(T) unsigned char bytes[sizeof(T)];
    std::uint32_t generation = 1;
    std::uint32_t next_free = kNone;  // kLive while an object lives here
    T* object() { return std::launder(reinterpret_cast<T*>(bytes)); }
  };

  Slot& slot_at(std::uint32_t index) { return chunks_[index / kChunkSlots][index % kChunkSlots]; }
  void add_chunk() {
    const auto base = static_cast<std::uint32_t>(chunks_.size() * kChunkSlots);
    chunks_.push_back(std::make_unique<Slot[]>(kChunkSlots));
    for (std::uint32_t i = kChunkSlots; i-- > 0;) {
      slot_at(base + i).next_free = free_head_;
      free_head_ = base + i;
    }
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  std::uint32_t free_head_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace ws::core
