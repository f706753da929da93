# SPDX-License-Identifier: GPL-2.0-only
# The front door of ITME. `make help` lists the targets; V=1 shows the commands.

CLANG ?= clang-19
CLANG_TIDY ?= clang-tidy-19
BPFTOOL ?= $(or $(shell PATH=$$PATH:/usr/sbin command -v bpftool),bpftool)
CXXFLAGS ?= -O2 -g
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(Q),@printf '  %-7s %s\n' $(1) $(2))

.PHONY: all kmod bpf agent unit replay kselftest check check-debug check-mutations check-crash demo bench fuzz lint tidy install install-libitme clean help

all: kmod bpf agent ## the module, the BPF programs and the agent, into build/

help: ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='	' read -r name text; do printf '  %-15s %s\n' "$$name" "$$text"; done
	@echo "Variables:"
	@echo "  KDIR=DIR     kernel headers or tree to build against, 6.12 or newer"
	@echo "  FUZZ_SECONDS=N  how long fuzz takes for each parser ($(FUZZ_SECONDS))"
	@echo "  SUITE=NAME   what bench measures, else all of it; QUICK=1: fewer runs"
	@echo "  V=1          show the commands"
	@echo "  PREFIX=DIR   where install puts agent and library ($(PREFIX)); DESTDIR= is honoured"

# ----------------------------------------------------------------------
# What is built for: x86-64 only, any kernel from 6.12 on.

machine := $(or $(ARCH),$(firstword $(subst -, ,$(shell $(CXX) -dumpmachine))))
ifeq ($(filter x86_64 x86 amd64,$(machine)),)
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),all)),)
$(error ITME supports x86-64 with 4 KiB pages only, so far; this build is for $(machine))
endif
endif

kernel := $(shell scripts/kdir $(KDIR) 2>&1)
ifeq ($(.SHELLSTATUS),0)
kdir := $(firstword $(kernel))
release := $(lastword $(kernel))
else
kernel_error := $(kernel)
endif

# ----------------------------------------------------------------------
# kmod: kbuild decides what to rebuild. It works in a folder of links, one for
# each kernel release, so that the sources stay clean.

kmod_dir := build/kmod/$(release)

kmod: ## build/kmod/RELEASE/itme.ko, against KDIR
	$(if $(kernel_error),$(error $(kernel_error)))
	$(call say,KMOD,$(kmod_dir)/itme.ko)
	$(Q)mkdir -p $(kmod_dir)
	$(Q)find $(kmod_dir) -xtype l -delete
	$(Q)for file in kmod/* uapi; do \
		[ -e "$(kmod_dir)/$${file##*/}" ] || ln -s "../../../$$file" $(kmod_dir)/; \
	done
	$(Q)+$(MAKE) $(if $(Q),-s) -C $(kdir) M=$(CURDIR)/$(kmod_dir) modules
ifndef KDIR
	$(Q)ln -sfn $(release)/itme.ko build/kmod/itme.ko
endif

# What tracepoints cost while nothing is attached is measured against this one.
.PHONY: kmod-untraced
kmod-untraced: ## the module without its tracepoints, for make bench
	$(Q)+$(MAKE) kmod kmod_dir=build/kmod-untraced/$(release) KDIR=$(kdir) KCFLAGS=-DNOTRACE ITME_UNTRACED=1

# ----------------------------------------------------------------------
# bpf: CO-RE objects and their libbpf skeletons.

vmlinux := $(firstword $(wildcard $(addsuffix /vmlinux,$(kdir)) /sys/kernel/btf/vmlinux))
bpf_objs := $(patsubst bpf/%.bpf.c,build/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
bpf_skels := $(bpf_objs:.bpf.o=.skel.h)
# BPF_PROG() names every argument of the tracepoint, used or not.
bpf_flags := -g -O2 --target=bpf -D__TARGET_ARCH_x86 -Wall -Wextra -Werror \
	-Wno-unused-parameter -Ibpf -isystem build/bpf

bpf: $(bpf_objs) $(bpf_skels) ## the BPF programs and their skeletons, build/bpf/

build/bpf/vmlinux.h: $(vmlinux)
	$(if $(vmlinux),,$(error no kernel type information: neither KDIR/vmlinux nor /sys/kernel/btf/vmlinux is here))
	$(call say,BTF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) btf dump file $< format c >$@

build/bpf/%.bpf.o: bpf/%.bpf.c build/bpf/vmlinux.h
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(bpf_flags) -MMD -MP -c $< -o $@

build/bpf/%.skel.h: build/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

# ----------------------------------------------------------------------
# agent: every source in lib/, itmectl/ and itmed/ is picked up. Only the files that
# may know the module's interface or the BPF records find those headers.

cxx_flags := -std=c++23 -Wall -Wextra -Werror -Iagent
lib_objs := $(patsubst %.cpp,build/%.o,$(wildcard agent/lib/*.cpp))
itmectl_objs := $(patsubst %.cpp,build/%.o,$(wildcard agent/itmectl/*.cpp))
itmed_objs := $(patsubst %.cpp,build/%.o,$(wildcard agent/itmed/*.cpp))
replay_objs := $(patsubst %.cpp,build/%.o,$(wildcard tests/replay/*.cpp))
bench_objs := $(patsubst %.cpp,build/%.o,$(wildcard tests/bench/*.cpp))
test_objs := $(patsubst %.cpp,build/%.o,$(wildcard tests/unit/*.cpp)) \
	$(patsubst %.c,build/%.o,$(wildcard tests/unit/*.c))
agent_libs := -lbpf -lnuma -lcxl -ldaxctl
itmed_libs := $(agent_libs) -lsystemd -lprometheus-cpp-pull -lprometheus-cpp-core

agent: build/itmectl build/itmed build/libitme.so build/libitme.a ## itmectl, itmed and libitme, into build/

build/itmectl: $(itmectl_objs) $(lib_objs)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $^ $(agent_libs) -o $@

build/itmed: $(itmed_objs) $(lib_objs)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $^ $(itmed_libs) -o $@

# libitme: for runtimes, in C, and of nothing but libc.
libitme_objs := $(patsubst %.c,build/%.o,$(wildcard agent/libitme/*.c))
libitme_soname := libitme.so.1

build/libitme.so: build/$(libitme_soname)
	$(Q)ln -sf $(libitme_soname) $@

build/$(libitme_soname): $(libitme_objs) agent/libitme/libitme.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(libitme_soname) -Wl,-z,defs \
		-Wl,--version-script,agent/libitme/libitme.map $(libitme_objs) -o $@

build/libitme.a: $(libitme_objs)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

unit: build/tests/unit-tests build/tests/usage-example build/tests/libitme-example ## the unit tests, built

# The C example of the documentation, as it stands there; a unit test and a kernel test run it.
build/tests/usage-example.c: Documentation/usage.md
	$(Q)mkdir -p $(@D)
	$(Q)sed -n '/^```c$$/,/^```$$/{//!p}' $< >$@

build/tests/usage-example: build/tests/usage-example.c uapi/itme.h
	$(call say,CC,$@)
	$(Q)$(CC) -std=c11 -pedantic-errors -Wall -Wextra -Werror -Iuapi $(CFLAGS) $(CPPFLAGS) $< -o $@

# Without a module its ioctls are answered by tests/unit/libitme_test.cpp.
# So is that of the manual page, against the library.
build/tests/libitme-example.c: agent/libitme/libitme.3
	$(Q)mkdir -p $(@D)
	$(Q)sed -n '/^\.EX$$/,/^\.EE$$/{//!p}' $< | sed 's/\\e/\\/g; s/\\-/-/g' >$@

build/tests/libitme-example: build/tests/libitme-example.c agent/libitme/libitme.h build/libitme.so
	$(call say,CC,$@)
	$(Q)$(CC) -std=c11 -pedantic-errors -Wall -Wextra -Werror -Iagent/libitme -Iuapi $(CFLAGS) $(CPPFLAGS) $< -o $@ \
		-Lbuild -litme -Wl,-rpath,'$$ORIGIN/..'

build/tests/unit-tests: $(test_objs) $(filter-out %/main.o,$(itmectl_objs) $(itmed_objs) $(replay_objs)) $(lib_objs) \
	build/libitme.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -Wl,--wrap=ioctl,--wrap=posix_fadvise $^ $(itmed_libs) -lgtest -pthread -o $@

# Tests of telemetry are the agent's own library in the guest, and a runtime's stand-ins.
telemetry_objs := $(patsubst %.cpp,build/%.o,$(wildcard tests/telemetry/*.cpp))

build/tests/telemetry-tests: $(telemetry_objs) $(lib_objs) | \
	build/tests/libllama-standin.so build/tests/libllama-stripped.so
	$(call say,LINK,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $^ $(agent_libs) -lgtest -pthread -o $@

build/tests/libllama-stripped.so: runtime_flags := -DSTEP=another_name
build/tests/libllama-%.so: tests/telemetry/runtime.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -fPIC -shared $(runtime_flags) $(CFLAGS) $< -o $@

# The replayer, and the programs of make bench: each of their sources is one.
bench_bins := $(bench_objs:.o=)
replay_libs := $(filter-out %/main.o,$(replay_objs)) $(addprefix build/agent/lib/,file.o size.o table.o) \
	build/libitme.a

replay: build/replay $(bench_bins) ## the replayer and the programs of make bench

build/replay: $(replay_objs) $(replay_libs)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $(sort $(filter %.o,$^)) $(filter %.a,$^) -pthread -o $@

$(bench_bins): build/%: build/%.o $(replay_libs)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) $^ $(bench_libs) -pthread -o $@

# Those that are agents themselves.
bench_agents := $(addprefix build/tests/bench/,stall_truth fault_attached learned)
$(bench_agents): $(lib_objs)
$(bench_agents): bench_libs := $(agent_libs)
build/tests/bench/hog build/tests/bench/copy_rate: bench_libs := -lnuma

build/agent/lib/device.o build/tests/replay/region.o build/tests/bench/anon_cycle.o $(test_objs): cxx_flags += -Iuapi
$(libitme_objs): c_flags := -Iagent -fPIC -D_GNU_SOURCE
$(replay_objs) $(bench_objs) $(test_objs): cxx_flags += -Itests
bpf_users := build/agent/lib/telemetry.o build/agent/lib/probe.o build/agent/lib/counts.o
$(bpf_users): cxx_flags += -Ibpf -isystem build/bpf
$(bpf_users): $(bpf_skels)

build/%.o: %.cpp
	$(call say,CXX,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(cxx_flags) $(CXXFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

build/%.o: %.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -pedantic-errors -Wall -Wextra -Werror -Iuapi $(c_flags) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

-include $(patsubst %.o,%.d,$(bpf_objs) $(lib_objs) $(itmectl_objs) $(itmed_objs) $(replay_objs) $(bench_objs) \
	$(test_objs) $(telemetry_objs) $(libitme_objs))

# clang-tidy takes long; an object that was not compiled again need not be looked at again.
tidy: $(patsubst %.o,%.tidy,$(lib_objs) $(itmectl_objs) $(itmed_objs) $(replay_objs) $(bench_objs)) ## clang-tidy alone, for lint

build/%.tidy: build/%.o .clang-tidy
	$(call say,TIDY,$*.cpp)
	$(Q)$(CLANG_TIDY) --quiet $*.cpp -- $(cxx_flags) -Iuapi -Ibpf -Itests -isystem build/bpf 2>/dev/null
	$(Q)touch $@

# ----------------------------------------------------------------------
# Fuzzers of the parsers, with ASan and UBSan. New finds go to build/, what is
# worth keeping into tests/fuzz/corpus/.

FUZZ_SECONDS ?= 600
FUZZ_CXX ?= clang++-19
fuzz_bins := $(addprefix build/fuzz/,gguf safetensors schedule)
fuzz_flags := -std=c++23 -Wall -Wextra -Wno-deprecated-declarations -Iagent -O1 -g
fuzz_flags += -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

build/fuzz/gguf: agent/lib/gguf.cpp
build/fuzz/safetensors: agent/lib/safetensors.cpp agent/lib/json_tree.cpp
build/fuzz/schedule: agent/lib/schedule.cpp agent/lib/schedule_file.cpp agent/lib/json_tree.cpp

$(fuzz_bins): build/fuzz/%: tests/fuzz/%_fuzz.cpp $(wildcard agent/lib/*.hpp)
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CXX) $(fuzz_flags) $(filter %.cpp,$^) -o $@

.PHONY: fuzzers
fuzzers: $(fuzz_bins) ## the fuzzers, built

fuzz: ## fuzz each parser for FUZZ_SECONDS (600)
	$(Q)tests/fuzz-selftest $(FUZZ_SECONDS)

# ----------------------------------------------------------------------
# Proof, show, and use.

# The clients of libitme; tests/libitme-selftest builds the one that is llama.cpp.
build/clients/loop: tests/clients/loop.c agent/libitme/libitme.h build/libitme.so
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE -Iagent/libitme -Iuapi $(CFLAGS) $< -o $@ \
		-Lbuild -litme -Wl,-rpath,'$$ORIGIN/..'

kselftest: build/tests/telemetry-tests build/tests/bench/learned build/tests/bench/anon_cycle build/replay build/libitme.a build/clients/loop ## the kernel tests, built; scripts/vm runs them
	$(Q)+$(MAKE) -C tests/kselftest O=$(CURDIR)/build/kselftest

check: ## everything that proves it works, the guest included
	$(Q)tests/run

check-debug: ## every kernel test on a kernel with KASAN, lockdep and kmemleak
	$(Q)tests/run --debug

check-mutations: ## the module broken on purpose, one way after the other: each must be noticed
	$(Q)+$(MAKE) kselftest
	$(Q)tests/mutations/run

check-crash: kmod ## the guest killed while it writes: what was acknowledged must be there
	$(Q)tests/crash $(ROUNDS)

demo: ## the main job: a model larger than memory, decoded by llama.cpp
	$(Q)scripts/demo

bench: ## measure, beside a peer in one guest: SUITE=NAME (all), QUICK=1
	$(Q)scripts/bench $(if $(filter 1,$(QUICK)),--quick) $(SUITE)

lint: ## checkpatch, sparse, kernel-doc, clang-format, clang-tidy, shellcheck, codespell
	$(Q)scripts/lint

install-libitme: build/libitme.so build/libitme.a ## libitme, its headers, its manual page and its .pc file
	$(Q)install -D -s -m 0755 build/$(libitme_soname) $(DESTDIR)$(PREFIX)/lib/$(libitme_soname)
	$(Q)ln -sf $(libitme_soname) $(DESTDIR)$(PREFIX)/lib/libitme.so
	$(Q)install -m 0644 build/libitme.a $(DESTDIR)$(PREFIX)/lib/libitme.a
	$(Q)install -D -m 0644 agent/libitme/libitme.h $(DESTDIR)$(PREFIX)/include/libitme.h
	$(Q)install -D -m 0644 uapi/itme.h $(DESTDIR)$(PREFIX)/include/itme.h
	$(Q)install -D -m 0644 agent/libitme/libitme.3 $(DESTDIR)$(PREFIX)/share/man/man3/libitme.3
	$(Q)install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	$(Q)sed 's|@PREFIX@|$(PREFIX)|' agent/libitme/libitme.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/libitme.pc
	$(Q)$(if $(DESTDIR),,ldconfig)

install: all install-libitme ## the module for KDIR's release, itmectl, itmed with its unit, man pages, libitme
	$(Q)install -D -s -m 0755 build/itmectl $(DESTDIR)$(PREFIX)/bin/itmectl
	$(Q)install -D -s -m 0755 build/itmed $(DESTDIR)$(PREFIX)/sbin/itmed
	$(Q)install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 agent/itmectl/itmectl.8 agent/itmed/itmed.8
	$(Q)install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	$(Q)sed 's|@SBINDIR@|$(PREFIX)/sbin|' agent/itmed/itmed.service.in \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/itmed.service
	$(Q)[ -e $(DESTDIR)/etc/itme/itmed.toml ] || \
		install -D -m 0644 agent/itmed/itmed.toml $(DESTDIR)/etc/itme/itmed.toml
	$(Q)install -D -m 0644 $(kmod_dir)/itme.ko $(DESTDIR)/lib/modules/$(release)/updates/itme.ko
	$(Q)$(if $(DESTDIR),,depmod $(release))

clean: ## remove build/
	$(Q)rm -rf build
