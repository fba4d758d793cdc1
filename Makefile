# make          builds libws.a and wsd            make run    installs what is missing, builds, starts ./wsd
# make test     installs, builds, runs all tests  make help   lists the rest
#
# Objects live in build/VARIANT/: release (default), debug (names misuse of the library), asan (address + undefined
# behaviour) and tsan (threads).
VARIANT ?= release
ifeq ($(filter release debug asan tsan,$(VARIANT)),)
$(error VARIANT=$(VARIANT): must be release, debug, asan or tsan)
endif
B := build/$(VARIANT)

# As many compilers as there are cores, unless -j says otherwise. What installs packages, measures or removes
# goes one after the other.
ifeq ($(MAKELEVEL)$(filter -j% --jobs%,$(MAKEFLAGS) $(shell echo "$$MAKEFLAGS")),0)
MAKEFLAGS += -j$(shell nproc)
endif
ifneq ($(filter run test asan tsan check %deps bench bench-peers bench-micro bench-counts uninstall clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

CXXFLAGS ?= -O2 -g1
required_flags := -std=c++20 -I. -pthread -MMD -MP -Wall -Wextra -Wshadow -Wconversion \
  -DOPENSSL_NO_DEPRECATED -DOPENSSL_API_COMPAT=30000
# A compiler newer than ours may warn of more: that stops nobody who only wants to run it.
flags_release := -DNDEBUG
flags_debug := -O0 -g -Werror
flags_asan := -O1 -g1 -Werror -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
flags_tsan := -O1 -g1 -Werror -fsanitize=thread
flags = $(required_flags) $(CXXFLAGS) $(flags_$(VARIANT))
libraries := -lssl -lcrypto -pthread

objects = $(patsubst %.cc,$(B)/%.o,$(1))
# Most of a file's time goes into headers and what each file instantiates again, so five files of a directory are one
# translation unit: a name is unique in its directory, even in an anonymous namespace. The debug build compiles each by
# itself, which shows that it includes what it uses. A new file moves those behind it on, into other units.
# Arguments: where, the files, one word for each unit. Defines `units`, and `parts` of each.
unit_files := $(if $(filter debug,$(VARIANT)),1,5)
define unit
$(if $(2),
units += $(B)/$(1)$(words $(3)).cc
$(B)/$(1)$(words $(3)).cc $(B)/$(1)$(words $(3)).o: private parts := $(wordlist 1,$(unit_files),$(2))
$(call unit,$(1),$(filter-out $(wordlist 1,$(unit_files),$(2)),$(2)),$(3) more))
endef
$(foreach where,core/ tls/ net/ ws/ ws/proto/ ws/deflate/,$(eval $(call unit,$(where),$(wildcard $(where)*.cc),one)))
library_objects := $(units:.cc=.o)
daemon_objects := $(call objects,$(wildcard ws/daemon/*.cc))
examples := $(patsubst ws/examples/%.cc,$(B)/examples/%,$(wildcard ws/examples/*.cc))

.DELETE_ON_ERROR:
.PHONY: always all libws.a wsd run examples deps install uninstall clean help
.SECONDARY:

all: libws.a wsd
libws.a: $(B)/libws.a
wsd: $(B)/wsd
libws.a wsd:
	@ln -f $< $@

$(B)/%.o: %.cc | $(B)/openssl
	@mkdir -p $(@D)
	@echo "  c++ $<"
	@$(CXX) $(flags) -c $< -o $@

$(library_objects): %.o: %.cc | $(B)/openssl
	@echo "  c++ $(parts)"
	@$(CXX) $(flags) -c $< -o $@

$(B)/libws.a: $(library_objects)
	@rm -f $@ && $(AR) rcs $@ $^

$(B)/wsd: $(daemon_objects) $(B)/libws.a
	@echo "  link $@"
	@$(CXX) $(flags) $^ -o $@ $(libraries)

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

examples: $(examples)

# have=package pairs: a command or a file that tells whether the Debian package is there.
build_needs := g++=g++ /usr/include/openssl/ssl.h=libssl-dev
node_needs := node=nodejs npm=npm
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

include tests/tests.mk bench/bench.mk

$(units): always
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(parts) | cmp -s - $@ || printf '#include "%s"\n' $(parts) >$@

-include $(shell find build -name '*.d' 2>/dev/null)
