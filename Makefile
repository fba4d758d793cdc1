# make          builds libws.a and wsd            make run    installs what is missing, builds, starts ./wsd
# make test     installs, builds, runs all tests  make help   lists the rest
#
# Objects live in build/VARIANT/: release (default), debug (names misuse of the library), asan (address + undefined
# behaviour) and tsan (threads).
VARIANT ?= release
B := build/$(VARIANT)

CXXFLAGS ?= -O2 -g
required_flags := -std=c++20 -I. -pthread -MMD -MP -Wall -Wextra -Wshadow -Wconversion -Werror \
  -DOPENSSL_NO_DEPRECATED -DOPENSSL_API_COMPAT=30000
flags_release := -DNDEBUG
flags_debug := -O0
flags_asan := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
flags_tsan := -O1 -g1 -fsanitize=thread
flags = $(required_flags) $(CXXFLAGS) $(flags_$(VARIANT)) $(if $(parts),$(test_flags),$(library_flags))
# A test runs once for each time it is compiled: optimising pays only where millions of streams or cuts are made, and
# undefined behaviour is looked for in what is tested. Most of the time goes into headers, so those that all tests
# share are compiled once, by each compiler for itself.
slow_tests := tests/ws/deflate/% tests/ws/proto/utf8_test.cc \
  $(patsubst %,tests/conformance/%.cc,conformance deflate_frames protocol_test runner)
test_flags = $(if $(filter file,$(origin CXXFLAGS)),-g1 $(if $(filter $(slow_tests),$(parts)),-O1,-O0)) \
  $(if $(filter asan,$(VARIANT)),-fno-sanitize=undefined) $(if $(filter $(slow_tests),$(parts)),,-include $(precompiled))
compiler := $(notdir $(lastword $(CXX)))
precompiled := $(B)/$(compiler).h
# The library shares some where it is instrumented; release shows that each file includes what it uses.
library_headers := algorithm array atomic functional memory mutex optional span string thread utility variant vector
library_precompiled := $(if $(filter asan tsan,$(VARIANT)),$(B)/library.$(compiler).h)
library_flags = $(if $<,$(addprefix -include ,$(library_precompiled)))
libraries := -lssl -lcrypto -pthread

objects = $(patsubst %.cc,$(B)/%.o,$(1))
library_objects := $(call objects,$(wildcard core/*.cc tls/*.cc net/*.cc ws/*.cc ws/proto/*.cc ws/deflate/*.cc))
daemon_objects := $(call objects,$(wildcard ws/daemon/*.cc))
test_sources := $(filter-out tests/fuzz/%,$(wildcard tests/*.cc tests/*/*.cc tests/*/*/*.cc))
# Threads are in core, net and the engine; what is pure, in memory, or in a child process has none to offer.
pure_tests := $(patsubst %,tests/%_test.cc,tidy \
  $(addprefix core/,buffer buffer_pool copy cpu endian fd result slab task timer_wheel) \
  $(addprefix net/,address listener listener_unix memory_socket socket transport) \
  $(addprefix ws/,loopback opening out_queue router shard slow_consumer)) \
  tests/tls/% tests/ws/proto/% tests/ws/deflate/% tests/ws/daemon/% tests/e2e/% %/examples_test.cc \
  $(filter-out %/conformance.cc %/runner.cc %/deflate_frames.cc,$(wildcard tests/conformance/*.cc))
test_sources_tsan := $(filter-out $(pure_tests),$(test_sources))
# What is installed, and the examples, are not instrumented.
test_sources_asan := $(filter-out %/install_test.cc %/examples_test.cc,$(test_sources))
test_files := $(or $(test_sources_$(VARIANT)),$(test_sources))
# Five files of a directory are one translation unit, as most of a file's time goes into what each instantiates again: a
# name is unique in its directory, even in an anonymous namespace. Arguments: where, the files, one word for each unit.
define unit
$(if $(2),
test_units += $(B)/$(1)$(words $(3)).cc
$(B)/$(1)$(words $(3)).cc $(B)/$(1)$(words $(3)).o: private parts := $(wordlist 1,5,$(2))
$(call unit,$(1),$(wordlist 6,$(words $(2)),$(2)),$(3) more))
endef
fast = $(filter-out $(slow_tests),$(filter $(wildcard $(1)*.cc),$(test_files)))
slow = $(filter $(slow_tests),$(filter $(wildcard $(1)*.cc),$(test_files)))
$(foreach where,$(sort $(dir $(test_files))),\
  $(eval $(call unit,$(where),$(call fast,$(where)),one))$(eval $(call unit,$(where)slow,$(call slow,$(where)),one)))
test_objects := $(test_units:.cc=.o)
examples := $(patsubst ws/examples/%.cc,$(B)/examples/%,$(wildcard ws/examples/*.cc))

.DELETE_ON_ERROR:
.PHONY: all always libws.a wsd run test check asan tsan fuzz examples deps test-deps install uninstall clean help
.SECONDARY:

all: libws.a wsd
libws.a: $(B)/libws.a
wsd: $(B)/wsd
libws.a wsd:
	@ln -f $< $@

$(B)/%.o: %.cc | $(B)/openssl $(addsuffix .gch,$(library_precompiled))
	@mkdir -p $(@D)
	@echo "  c++ $<"
	@$(CXX) $(flags) -c $< -o $@

$(test_units): always
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(parts) | cmp -s - $@ || printf '#include "%s"\n' $(parts) >$@

$(test_objects): %.o: %.cc | $(precompiled).gch
	@echo "  c++ $(parts)"
	@$(CXX) $(flags) -c $< -o $@

$(precompiled).gch: private parts = $<
$(precompiled).gch: tests/support/precompiled.h | $(B)/openssl
	@echo '#include "$<"' >$(precompiled)
	@$(CXX) $(filter-out -include $(precompiled),$(flags)) -x c++-header $(precompiled) -o $@

ifneq ($(library_precompiled),)
$(library_precompiled).gch: | $(B)/openssl
	@printf '#include <%s>\n' $(library_headers) >$(library_precompiled)
	@$(CXX) $(flags) -x c++-header $(library_precompiled) -o $@
endif

$(B)/libws.a: $(library_objects)
	@rm -f $@ && $(AR) rcs $@ $^

$(B)/wsd: $(daemon_objects) $(B)/libws.a
	@echo "  link $@"
	@$(CXX) $(flags) $^ -o $@ $(libraries)

$(B)/wstests: $(test_objects) $(filter-out %/main.o,$(daemon_objects)) $(B)/libws.a \
  | $(if $(filter %/examples_test.o,$(test_objects)),$(examples))
	@echo "  link $@"
	@$(CXX) $(flags) $^ -o $@ -lgtest -lgtest_main $(libraries) -ldl

$(examples): $(B)/examples/%: $(B)/ws/examples/%.o $(B)/libws.a
	@echo "  link $@"
	@mkdir -p $(@D)
	@$(CXX) $(flags) $^ -o $@ $(libraries)

$(B)/openssl:
	@echo '#include <openssl/ssl.h>' | $(CXX) -E -x c++ - >/dev/null 2>&1 || \
	  { echo "OpenSSL's headers are missing: run 'make deps', or install libssl-dev (openssl-devel)"; exit 1; }
	@mkdir -p $(B) && touch $@

run: deps
	@$(MAKE) --no-print-directory all
	./wsd

# Against the wsd of the same variant, in four parts at once: most tests wait. T='--gtest_filter=Utf8*' runs a part.
test: test-deps
	@$(MAKE) --no-print-directory $(B)/wstests $(B)/wsd
	@for part in 0 1 2 3; do GTEST_TOTAL_SHARDS=4 GTEST_SHARD_INDEX=$$part WSD=$(B)/wsd \
	  $(B)/wstests --gtest_brief=1 $(T) >$(B)/tests.$$part.log 2>&1 & parts="$$parts $$!"; done; \
	for part in $$parts; do wait $$part || failed=1; done; cat $(B)/tests.?.log; [ -z "$$failed" ]

asan tsan:
	@$(MAKE) --no-print-directory test VARIANT=$@
check: test asan tsan

# For clang. FUZZ_S: seconds for each target.
FUZZ_S ?= 60
fuzz: $(patsubst tests/fuzz/%.cc,build/fuzz/%,$(wildcard tests/fuzz/*.cc))
	@for target in $^; do mkdir -p $$target.corpus && $$target -max_total_time=$(FUZZ_S) $$target.corpus || exit 1; done
fuzz_sources := core/buffer.cc core/copy.cc core/cpu.cc $(wildcard ws/deflate/*.cc ws/proto/http*.cc)
build/fuzz/%: tests/fuzz/%.cc $(fuzz_sources) $(wildcard core/*.h ws/deflate/*.h ws/proto/*.h)
	@mkdir -p $(@D)
	@echo "  clang++ $<"
	@clang++ $(required_flags) -O1 -g -fsanitize=fuzzer,address,undefined $< $(fuzz_sources) -o $@

examples: $(examples)
include bench/bench.mk

# have=package pairs: a command or a file that tells whether the Debian package is there.
build_needs := g++=g++ /usr/include/openssl/ssl.h=libssl-dev
test_needs := $(build_needs) /usr/include/gtest/gtest.h=libgtest-dev
client_needs := /usr/lib/python3/dist-packages/websockets=python3-websockets curl=curl
node_needs := node=nodejs npm=npm
clang_runtime := $(firstword $(wildcard /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-*.a) none)
install_needs := cmake=cmake pkg-config=pkgconf clang++=clang
sanitizer_needs := $(clang_runtime)=libclang-rt-dev
missing = $(strip $(foreach need,$(1),$(shell \
  command -v $(firstword $(subst =, ,$(need))) >/dev/null || [ -e $(firstword $(subst =, ,$(need))) ] || echo $(lastword $(subst =, ,$(need))))))
sudo := $(if $(filter-out 0,$(shell id -u)),sudo)
define install
	@set -e; missing="$(call missing,$(1))"; [ -n "$$missing" ] || exit 0; \
	command -v apt-get >/dev/null || { echo "missing, as Debian names them: $$missing. Install them, then run make again"; exit 1; }; \
	echo "installing $$missing"; $(sudo) apt-get update -q || true; \
	DEBIAN_FRONTEND=noninteractive $(sudo) apt-get install -qy --no-install-recommends $$missing
endef

deps:
	$(call install,$(build_needs))
# Other people's clients, and what may use an installed library, for the end-to-end tests; without a registry these
# skip themselves and say so.
test-deps:
	$(call install,$(test_needs))
	-$(call install,$(client_needs))
	-$(call install,$(node_needs))
	-$(call install,$(install_needs))
	-$(call install,$(sanitizer_needs))
	-@[ -d build/clients/node_modules/ws ] || npm install --silent --no-audit --no-fund --prefix build/clients ws@8

PREFIX ?= /usr/local
prefix := $(abspath $(PREFIX))
to := $(DESTDIR)$(prefix)
version := $(shell sed -n 's/.*kVersion = "\(.*\)".*/\1/p' ws/version.h)
fill := sed -e 's|@prefix@|$(prefix)|' -e 's|@version@|$(version)|'
# Programs say <ws/ws.h> and headers name each other from the root, so the root is $(prefix)/include/ws.
install: $(B)/libws.a $(B)/wsd
	install -D -m 755 $(B)/wsd $(to)/bin/wsd
	install -D -m 644 $(B)/libws.a $(to)/lib/libws.a
	for h in $$(grep -l '^// Public' */*.h */*/*.h); do install -D -m 644 $$h $(to)/include/ws/$$h || exit 1; done
	install -d $(to)/lib/pkgconfig $(to)/lib/cmake/ws
	$(fill) ws/package/ws.pc.in >$(to)/lib/pkgconfig/ws.pc
	$(fill) ws/package/ws-config-version.cmake.in >$(to)/lib/cmake/ws/ws-config-version.cmake
	install -m 644 ws/package/ws-config.cmake $(to)/lib/cmake/ws

uninstall:
	rm -rf $(to)/bin/wsd $(to)/lib/libws.a $(to)/include/ws $(to)/lib/pkgconfig/ws.pc $(to)/lib/cmake/ws

clean:
	rm -rf build libws.a wsd

help:
	@echo "make all run test check asan tsan fuzz bench bench-micro bench-counts examples deps install uninstall clean;" \
	  "VARIANT=release|debug|asan|tsan, CXX, CXXFLAGS, T, PREFIX, DESTDIR"

-include $(shell find build -name '*.d' 2>/dev/null)
