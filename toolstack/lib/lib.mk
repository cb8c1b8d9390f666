# SPDX-License-Identifier: MIT
# Parts of the tools' library: each program names those that it links.
LIB_CONFIG_C := $(wildcard toolstack/lib/config/*.c) # -ljansson
LIB_RPC_C    := $(wildcard toolstack/lib/rpc/*.c)    # -ljansson
LIB_STORE_C  := $(wildcard toolstack/lib/store/*.c)  # -lxenstore
LIB_HV_C     := $(wildcard toolstack/lib/hv/*.c)     # $(LIB_HV_LIBS)
LIB_HV_LIBS  := -lxencall -lxenforeignmemory -lpthread
# The builder with the hypervisor's own image code; also link LIB_HV_C, report.c, fault.c
LIB_BUILD_C    := $(wildcard toolstack/lib/build/*.c hypervisor/core/image/*.c) # $(LIB_BUILD_LIBS)
LIB_BUILD_LIBS := -lz -llzma -lzstd -llz4 -lpthread
