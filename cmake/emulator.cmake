# The library with the CUDA device on the emulator: seqgpu_emulated, and seqgpu_emulated_check, whose kernels report
# every memory access to the emulator. Tests only; the host's objects are the product's.
add_subdirectory(${PROJECT_SOURCE_DIR}/emulator)

seqgpu_kernel_sources(kernels)
set(wrappers "")
foreach(kernel IN LISTS kernels)  # a .cpp that includes it: the same .cu may be CUDA elsewhere in this build
  cmake_path(GET kernel PARENT_PATH folder)
  cmake_path(GET folder FILENAME family)
  cmake_path(GET kernel STEM stem)
  set(wrapper ${PROJECT_BINARY_DIR}/emulated/${family}_${stem}.cpp)
  file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${kernel}\"\n")
  list(APPEND wrappers ${wrapper})
endforeach()

file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/host/device/cuda/*.cpp)
add_library(seqgpu_emulated_cuda OBJECT ${cuda_sources})

add_library(seqgpu_emulated_kernels OBJECT ${wrappers})
add_library(seqgpu_check_kernels OBJECT EXCLUDE_FROM_ALL ${wrappers})
foreach(target IN ITEMS seqgpu_emulated_cuda seqgpu_emulated_kernels seqgpu_check_kernels)
  seqgpu_own(${target})
  seqgpu_library_sources(${target})
  target_include_directories(${target} BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/emulator/include
                                                      ${PROJECT_SOURCE_DIR})
endforeach()
foreach(target IN ITEMS seqgpu_emulated_kernels seqgpu_check_kernels)
  target_compile_options(${target} PRIVATE -O1 -g1 -Wno-unknown-pragmas -fno-math-errno)
endforeach()
target_compile_options(seqgpu_check_kernels PRIVATE -fsanitize=thread)  # the hooks only: libtsan is not linked

# seqgpu_emulated_library(name, kernels, emulator)
function(seqgpu_emulated_library name kernels emulator)
  add_library(${name} STATIC ${common_objects} $<TARGET_OBJECTS:seqgpu_emulated_cuda> $<TARGET_OBJECTS:${kernels}>)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(${name} PUBLIC include host ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/emulator/include)
  target_compile_definitions(${name} PUBLIC SEQGPU_TEST_EMULATED $<$<BOOL:${SEQGPU_X86}>:SEQGPU_SIMD_X86=1>)
  target_link_libraries(${name} PUBLIC Threads::Threads ${emulator})
endfunction()
seqgpu_emulated_library(seqgpu_emulated seqgpu_emulated_kernels seqgpu_emulator)
if(NOT SEQGPU_SANITIZE)
  if(TARGET seqgpu_emulator_check)
    seqgpu_emulated_library(seqgpu_emulated_check seqgpu_check_kernels seqgpu_emulator_check)
  else()
    seqgpu_emulated_library(seqgpu_emulated_check seqgpu_check_kernels seqgpu_emulator)
  endif()
endif()
