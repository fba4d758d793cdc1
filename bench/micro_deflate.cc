// Our DEFLATE codec against the system's zlib, in memory, as Markdown tables.
//
// Each figure is the median of kRounds runs, ours and zlib's in turns, in CPU time of this thread.
// What is compressed: JSON events of 100 to 400 bytes and access log lines, both from a seeded
// generator (tests/support/corpus.h); English text from the licenses every Debian has in
// /usr/share/common-licenses (generated prose where they are missing); random bytes.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "bench/micro_timing.h"
#include "tests/support/bytes.h"
#include "tests/support/corpus.h"
#include "tests/support/libz.h"
#include "ws/deflate/deflate.h"
#include "ws/deflate/inflate.h"

namespace {

using namespace ws;
using bench::kRounds;
using bench::measure;
using test::bytes_of;
using test::Libz;
using test::ZStream;

constexpr std::size_t kLimitBytes = 1 << 24;
constexpr int kZlibMemory = 8;  // deflateInit()'s own choice

struct DataSet {
  const char* name;
  bool takeover;
  std::vector<std::string> messages;

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const std::string& message : messages) sum += message.size();
    return sum;
  }
};

std::string english(std::size_t bytes) {
  std::string text;
  for (const char* name : {"GPL-3", "GFDL-1.3", "Apache-2.0", "MPL-2.0"}) {
    std::ifstream file(std::string("/usr/share/common-licenses/") + name);
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  if (text.size() < bytes) {
    std::printf("No licenses in /usr/share/common-licenses: generated prose instead.\n");
    test::Rng rng(7);
    return test::prose(rng, bytes);
  }
  return text.substr(0, bytes);
}

std::vector<std::string> events(std::size_t count) {
  test::Rng rng(1);
  std::vector<std::string> messages;
  for (std::uint64_t i = 0; messages.size() < count; ++i) {
    const std::string event = test::json_event(rng, i);
    if (event.size() >= 100 && event.size() <= 400) messages.push_back(event);
  }
  return messages;
}

std::vector<DataSet> data_sets() {
  test::Rng rng(2);
  const std::string text = english(64 << 10);
  std::vector<std::string> pages;
  for (std::size_t at = 0; at < text.size(); at += 4096) pages.push_back(text.substr(at, 4096));
  return {{"JSON events, takeover", true, events(1000)},
          {"JSON events", false, events(1000)},
          {"English 4 KiB, takeover", true, pages},
          {"English 4 KiB", false, pages},
          {"English 64 KiB", false, {text}},
          {"log lines 1 MiB", false, {test::access_log(rng, 1 << 20)}},
          {"random 4 KiB", false, {test::noise(rng, 4 << 10)}},
          {"random 64 KiB", false, {test::noise(rng, 64 << 10)}}};
}

class Bench {
 public:
  explicit Bench(const Libz& libz) : libz_(libz), out_(4 << 20) {}

  void inflate_table(const std::vector<DataSet>& sets);
  void deflate_table(const std::vector<DataSet>& sets, deflate::Level level, int zlib_level);
  void memory_rows(const DataSet& set, const std::vector<unsigned>& windows);

 private:
  // All messages of the set once. returns: the compressed bytes, and each message if asked for.
  std::size_t zlib_deflate(ZStream& z, const DataSet& set, std::vector<std::string>* messages);
  void zlib_inflate(ZStream& z, const DataSet& set, const std::vector<std::string>& messages);
  std::size_t our_deflate(const DataSet& set, deflate::DeflateContext& context,
                          std::vector<std::string>* messages);
  void our_inflate(const DataSet& set, deflate::InflateContext& context,
                   const std::vector<std::string>& messages);

  const Libz& libz_;
  std::vector<std::uint8_t> out_;
  core::Buffer buffer_;
  deflate::Deflater deflater_;
  deflate::Inflater inflater_;
};

void check(bool condition) {
  if (condition) return;
  std::fprintf(stderr, "a message did not come back\n");
  std::exit(1);
}

std::size_t Bench::zlib_deflate(ZStream& z, const DataSet& set,
                                std::vector<std::string>* messages) {
  std::size_t sum = 0;
  libz_.deflate_reset(&z);
  for (const std::string& message : set.messages) {
    if (!set.takeover) libz_.deflate_reset(&z);
    z.next_in = bytes_of(message).data();
    z.avail_in = static_cast<unsigned>(message.size());
    z.next_out = out_.data();
    z.avail_out = static_cast<unsigned>(out_.size());
    libz_.deflate(&z, test::kZSyncFlush);
    const std::size_t bytes = out_.size() - z.avail_out - 4;
    sum += bytes;
    if (messages != nullptr)
      messages->emplace_back(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(bytes));
  }
  return sum;
}

void Bench::zlib_inflate(ZStream& z, const DataSet& set, const std::vector<std::string>& messages) {
  static constexpr std::uint8_t kTail[] = {0x00, 0x00, 0xff, 0xff};
  libz_.inflate_reset(&z);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!set.takeover) libz_.inflate_reset(&z);
    z.next_in = bytes_of(messages[i]).data();
    z.avail_in = static_cast<unsigned>(messages[i].size());
    z.next_out = out_.data();
    z.avail_out = static_cast<unsigned>(out_.size());
    libz_.inflate(&z, test::kZSyncFlush);
    z.next_in = kTail;
    z.avail_in = sizeof kTail;
    libz_.inflate(&z, test::kZSyncFlush);
    check(out_.size() - z.avail_out == set.messages[i].size());
  }
}

std::size_t Bench::our_deflate(const DataSet& set, deflate::DeflateContext& context,
                               std::vector<std::string>* messages) {
  std::size_t sum = 0;
  for (const std::string& message : set.messages) {
    buffer_.clear();
    deflater_.compress(bytes_of(message), context, buffer_);
    sum += buffer_.size();
    if (messages != nullptr) messages->emplace_back(buffer_.bytes().begin(), buffer_.bytes().end());
  }
  return sum;
}

void Bench::our_inflate(const DataSet& set, deflate::InflateContext& context,
                        const std::vector<std::string>& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    buffer_.clear();
    inflater_.start(bytes_of(messages[i]), context);
    check(inflater_.step(buffer_, kLimitBytes, kLimitBytes + 1) == deflate::InflateStatus::kOk);
    check(buffer_.size() == set.messages[i].size());
  }
}

void Bench::inflate_table(const std::vector<DataSet>& sets) {
  std::printf(
      "\n| inflate of zlib level 6 | ours MB/s | zlib MB/s | factor |\n|---|---|---|---|\n");
  for (const DataSet& set : sets) {
    ZStream deflating{};
    std::vector<std::string> messages;
    libz_.deflate_init(&deflating, 6, 15, kZlibMemory, test::kZDefault);
    zlib_deflate(deflating, set, &messages);
    libz_.deflate_end(&deflating);
    ZStream inflating{};
    libz_.inflate_init(&inflating, 15);
    const std::vector<double> seconds =
        measure({[&] {
                   deflate::InflateContext context(15, set.takeover);
                   our_inflate(set, context, messages);
                 },
                 [&] { zlib_inflate(inflating, set, messages); }});
    libz_.inflate_end(&inflating);
    const double megabytes = 1e-6 * static_cast<double>(set.bytes());
    std::printf("| %s | %.0f | %.0f | %.2f |\n", set.name, megabytes / seconds[0],
                megabytes / seconds[1], seconds[1] / seconds[0]);
  }
}

void Bench::deflate_table(const std::vector<DataSet>& sets, deflate::Level level, int zlib_level) {
  std::printf(
      "\n| deflate %s and zlib %d | ours MB/s | zlib MB/s | factor | our ratio | zlib's ratio | "
      "ours is |\n|---|---|---|---|---|---|---|\n",
      level == deflate::Level::kFast ? "fast" : "better", zlib_level);
  for (const DataSet& set : sets) {
    ZStream z{};
    libz_.deflate_init(&z, zlib_level, 15, kZlibMemory, test::kZDefault);
    const auto our_pass = [&] {
      deflate::DeflateContext context(level, 15, set.takeover);
      return our_deflate(set, context, nullptr);
    };
    const auto zlib_pass = [&] { return zlib_deflate(z, set, nullptr); };
    const std::size_t ours = our_pass();
    const std::size_t theirs = zlib_pass();
    const std::vector<double> seconds =
        measure({[&] { (void)our_pass(); }, [&] { (void)zlib_pass(); }});
    libz_.deflate_end(&z);
    const auto bytes = static_cast<double>(set.bytes());
    std::printf("| %s | %.1f | %.1f | %.2f | %.3f | %.3f | %+.1f %% |\n", set.name,
                1e-6 * bytes / seconds[0], 1e-6 * bytes / seconds[1], seconds[1] / seconds[0],
                bytes / static_cast<double>(ours), bytes / static_cast<double>(theirs),
                100 * (static_cast<double>(theirs) / static_cast<double>(ours) - 1));
  }
}

// zlib's memory is what it asks its allocator for.
void* counting_alloc(void* sum, unsigned items, unsigned size) {
  *static_cast<std::size_t*>(sum) += std::size_t{items} * size;
  return std::calloc(items, size);
}
void counting_free(void*, void* memory) {
  std::free(memory);
}

void Bench::memory_rows(const DataSet& set, const std::vector<unsigned>& windows) {
  const auto kib = [](std::size_t bytes) { return static_cast<double>(bytes) / 1024; };
  const auto ratio = [&](std::size_t sum) {
    return static_cast<double>(set.bytes()) / static_cast<double>(sum);
  };
  for (const unsigned bits : windows) {
    std::printf("| %s, %u bits |", set.name, bits);
    std::vector<std::string> messages;
    for (const deflate::Level level : {deflate::Level::kFast, deflate::Level::kBetter}) {
      messages.clear();
      deflate::DeflateContext sender(level, bits, set.takeover);
      const std::size_t sum = our_deflate(set, sender, &messages);
      std::printf(" %.1f KiB, ratio %.2f |", kib(sender.held_bytes()), ratio(sum));
    }
    deflate::InflateContext receiver(bits, set.takeover);
    our_inflate(set, receiver, messages);
    std::printf(" %.2f KiB |", kib(receiver.held_bytes()));
    if (bits == 8) {  // zlib makes 9 of it
      std::printf(" - | - | - |\n");
      continue;
    }
    std::size_t memory = 0;
    ZStream z{};
    z.zalloc = counting_alloc;
    z.zfree = counting_free;
    z.opaque = &memory;
    for (const int level : {1, 6}) {
      memory = 0;
      messages.clear();
      libz_.deflate_init(&z, level, static_cast<int>(bits), kZlibMemory, test::kZDefault);
      const std::size_t sum = zlib_deflate(z, set, &messages);
      std::printf(" %.1f KiB, ratio %.2f |", kib(memory), ratio(sum));
      libz_.deflate_end(&z);
    }
    memory = 0;
    libz_.inflate_init(&z, static_cast<int>(bits));
    zlib_inflate(z, set, messages);
    libz_.inflate_end(&z);
    std::printf(" %.1f KiB |\n", kib(memory));
  }
}

}  // namespace

int main() {
  const Libz* const libz = Libz::get();
  if (libz == nullptr) {
    std::printf("No libz.so.1 on this machine, so there is nothing to compare with: skipped.\n");
    return 0;
  }
  const std::vector<DataSet> sets = data_sets();
  std::printf("Against zlib %s; medians of %d interleaved runs, CPU time of one thread.\n",
              libz->version(), kRounds);
  static Bench bench(*libz);
  bench.inflate_table(sets);
  bench.deflate_table(sets, deflate::Level::kFast, 1);
  bench.deflate_table(sets, deflate::Level::kBetter, 6);
  std::printf(
      "\n| heap of one connection (zlib: of one stream) | fast | better | inflate | zlib 1 | zlib "
      "6 |"
      " zlib inflate |\n|---|---|---|---|---|---|---|\n");
  bench.memory_rows(sets[0], {15, 12, 10, 9, 8});
  bench.memory_rows(sets[1], {15, 8});
  return 0;
}
