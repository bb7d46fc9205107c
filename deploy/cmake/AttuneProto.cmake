# attune_proto(<name> ROOT dir PROTOS ... [GRPC] DEPS ...)
# Compiles .proto files (paths relative to ROOT) into a library attune::<name>;
# with GRPC, those that hold a service get stubs too. Generated headers are
# system headers: our warning level is not theirs. All stubs are compiled at once:
# reading gRPC's headers is most of the work. Messages are not: their sources
# define equal names.
function(attune_proto name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "GRPC" "ROOT" "PROTOS;DEPS")
  set(out "${CMAKE_BINARY_DIR}/gen")
  file(MAKE_DIRECTORY "${out}")
  set(generated)
  foreach(proto IN LISTS arg_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
    set(outputs "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
    set(grpc_args)
    file(STRINGS "${arg_ROOT}/${proto}" services REGEX "^service ")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
      "${arg_ROOT}/${proto}")
    if(arg_GRPC AND services)
      list(APPEND outputs "${out}/${stem}.grpc.pb.cc" "${out}/${stem}.grpc.pb.h")
      set(grpc_args --grpc_out=generate_mock_code=true:${out}
        --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
      list(APPEND outputs "${out}/${stem}_mock.grpc.pb.h")
    endif()
    add_custom_command(OUTPUT ${outputs}
      COMMAND protobuf::protoc --cpp_out=${out} ${grpc_args}
        -I "${arg_ROOT}" -I "${ATTUNE_DEPS_DIR}/googleapis" "${proto}"
      DEPENDS "${arg_ROOT}/${proto}"
      WORKING_DIRECTORY "${arg_ROOT}"
      COMMENT "Generating ${stem}.pb" VERBATIM)
    foreach(file IN LISTS outputs)
      if(file MATCHES "\\.cc$")
        list(APPEND generated "${file}")
      endif()
      if(NOT file MATCHES "\\.grpc\\.pb\\.cc$")
        set_source_files_properties("${file}" PROPERTIES
          SKIP_UNITY_BUILD_INCLUSION ON)
      endif()
    endforeach()
  endforeach()
  add_library(attune_${name} STATIC ${generated})
  add_library(attune::${name} ALIAS attune_${name})
  set_target_properties(attune_${name} PROPERTIES
    UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  target_include_directories(attune_${name} SYSTEM PUBLIC "${out}")
  target_link_libraries(attune_${name} PUBLIC protobuf::libprotobuf
    $<$<BOOL:${arg_GRPC}>:gRPC::grpc++> ${arg_DEPS})
endfunction()
