//! The attributes of the `solo5` crate: `main` and `test`.
//!
//! They look at little of a function, its name and the attributes in front of it, so they need no
//! parser of Rust, and a fresh project compiles soon. The rest is for the compiler to check, in code
//! that says what is expected: `solo5::__rt`.

mod function;

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

use function::{Function, Panic};

/// Marks the function that a unikernel starts in.
///
/// It takes nothing or a [`StartInfo`](https://docs.rs/solo5), and returns nothing, a number from 0
/// to 255 (`u8`, the exit status), or a `Result` of these: an error is printed and ends the
/// unikernel with status 1.
///
/// Images only can have it, so this is not compiled here; a test builds what `cargo solo5 new` writes.
///
/// ```ignore
/// #[solo5::main]
/// fn main(start: solo5::StartInfo) {
///     solo5::println!("I was told: {}", start.cmdline().to_string_lossy());
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_main("::solo5", arguments, item)
}

/// The same under the roof of the crate `mnet`.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn mnet_main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand_main("::mnet", arguments, item)
}

/// Marks a test that `cargo solo5 test` runs, in a guest of its own.
///
/// The function is like that of `main`. A test fails when it panics, or when it returns an error or
/// a number other than 0. `#[ignore]`, `#[ignore = "why"]`, `#[should_panic]` and
/// `#[should_panic(expected = "text")]` mean what they mean in ordinary tests; they come after this
/// attribute.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::find("test", &arguments, item) {
        Ok(function) => function,
        Err(error) => return error,
    };
    let name = function.name.to_string();
    let optional = |text: &Option<String>| match text {
        Some(literal) => format!("Some({literal})"),
        None => "None".to_owned(),
    };
    let panic = match &function.panic {
        Panic::Fails => "Fails".to_owned(),
        Panic::Wanted(expected) => format!("Wanted({})", optional(expected)),
    };
    let ignored = match &function.ignored {
        Some(reason) => format!("Some({})", reason.as_deref().unwrap_or("\"\"")),
        None => "None".to_owned(),
    };
    let code = format!(
        "const _: () = {{
            #[used]
            #[unsafe(link_section = \"solo5_tests\")]
            static TEST: ::solo5::testing::Test = ::solo5::testing::Test {{
                name: ::core::concat!(::core::module_path!(), \"::\", \"{name}\"),
                run: |start| ::solo5::__rt::call(FUNCTION, start),
                panic: ::solo5::testing::Panic::{panic},
                ignored: {ignored},
            }};
        }};"
    );
    expand(code, &function)
}

fn expand_main(krate: &str, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::find("main", &arguments, item) {
        Ok(function) => function,
        Err(error) => return error,
    };
    if !function.panic.is_default() || function.ignored.is_some() {
        return error(function.name.span(), "these attributes are for tests");
    }
    let code = format!(
        "const _: () = {{
            #[unsafe(no_mangle)]
            unsafe extern \"C\" fn solo5_app_main(
                info: *const {krate}::__rt::solo5_start_info,
            ) -> ::core::ffi::c_int {{
                unsafe {{ {krate}::__rt::start(info, FUNCTION) }}
            }}
        }};"
    );
    expand(code, &function)
}

/// The function as it was, and the code with its name for `FUNCTION`: as a token, so that what the
/// compiler has to say about the function points there.
fn expand(code: String, function: &Function) -> TokenStream {
    let Ok(code) = code.parse() else {
        return error(function.name.span(), "this attribute is broken");
    };
    let mut all = function.item.clone();
    all.extend([substitute(code, &function.name)]);
    all
}

fn substitute(code: TokenStream, name: &Ident) -> TokenStream {
    code.into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if ident.to_string() == "FUNCTION" => {
                TokenTree::Ident(name.clone())
            }
            TokenTree::Group(group) => {
                let inside = substitute(group.stream(), name);
                TokenTree::Group(Group::new(group.delimiter(), inside))
            }
            other => other,
        })
        .collect()
}

/// `compile_error!` at a place.
fn error(at: Span, message: &str) -> TokenStream {
    let message = TokenTree::Literal(proc_macro::Literal::string(message));
    let tokens = [
        TokenTree::Ident(Ident::new("compile_error", at)),
        TokenTree::Punct(Punct::new('!', Spacing::Alone)),
        TokenTree::Group(Group::new(Delimiter::Brace, TokenStream::from(message))),
    ];
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(at);
            token
        })
        .collect()
}
