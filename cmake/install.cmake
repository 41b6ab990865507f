include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/seqgpu)
install(TARGETS seqgpu EXPORT seqgpuTargets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/seqgpu DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp")
install(EXPORT seqgpuTargets NAMESPACE seqgpu:: DESTINATION ${package_dir})
if(TARGET seqgpu_tool)
  if(BUILD_SHARED_LIBS)  # the tool finds the library wherever the prefix is moved
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR} OUTPUT_VARIABLE lib)
    set_target_properties(seqgpu_tool PROPERTIES INSTALL_RPATH "$ORIGIN/${lib}")
  endif()
  install(TARGETS seqgpu_tool)
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/seqgpuConfig.cmake.in seqgpuConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(seqgpuConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/seqgpuConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/seqgpuConfigVersion.cmake
        DESTINATION ${package_dir})

if(BUILD_SHARED_LIBS)
  set(pc_cflags " -DSEQGPU_SHARED_BUILD")
else()
  set(pc_libs " -lstdc++ -lm -ldl -pthread")
endif()
if(SEQGPU_WITH_CUDA)
  string(APPEND pc_libs " -L${CUDAToolkit_LIBRARY_DIR} -lcublas -lcudart_static -ldl -lrt")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/seqgpu.pc.in seqgpu.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/seqgpu.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
